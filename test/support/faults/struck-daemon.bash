#!/bin/bash
# Stands before qemu-storage-daemon on the PATH of a host agent. While there is a file `strike`
# beside this script, which says N, strace(1) kills the next daemon at its N-th write, once.
strike=${0%/*}/strike
daemon=$(PATH=${PATH#*:} command -v qemu-storage-daemon)
[[ -f $strike ]] || exec "$daemon" "$@"
read -r write <"$strike"
rm "$strike"
calls=pwrite64,pwritev
kill="inject=$calls:signal=SIGKILL:when=$write"
exec strace -D -f -o /dev/null -e trace="$calls" -e "$kill" "$daemon" "$@"
