#!/bin/bash
# Stands before qemu-img on the PATH of a host agent. While there is a file `fault` beside this
# script, a commit meets EIO (QEMU's blkdebug): on `read` of top's data, on `write` to base, on
# `flush` of base. With the word `once` after it, only the next commit does.
fault=${0%/*}/fault
image=$(PATH=${PATH#*:} command -v qemu-img)
[[ $1 == commit && -f $fault ]] || exec "$image" "$@"
read -r on often <"$fault"
[[ $often == once ]] && rm "$fault"
top=${!#} rule=inject-error.0
if [[ $on == read ]]; then
  # A sector of data at 1 MiB; the headers before it stay readable.
  file=driver=blkdebug,file.image.filename=$top,file.$rule.sector=2048
  options=driver=qcow2,file.$file,file.$rule.event=none,file.$rule.iotype=read
  exec "$image" commit -p -d --image-opts "$options"
fi
# The header's name of base beats the options, so a copy of top with another name is committed.
[[ "$*" =~ \ -b\ ([^ ]*)\  ]] && base=${BASH_REMATCH[1]}
copy=${0%/*}/copy-of-top.qcow2
cp "$top" "$copy"
below="{\"driver\":\"blkdebug\",\"image\":{\"driver\":\"file\",\"filename\":\"$base\"},
  \"inject-error\":[{\"event\":\"none\",\"iotype\":\"$on\"}]}"
name="json:{\"driver\":\"qcow2\",\"file\":$below}"
"$image" rebase -u -f qcow2 -F qcow2 -b "$name" "$copy"
exec "$image" commit -p -d -f qcow2 "$copy"
