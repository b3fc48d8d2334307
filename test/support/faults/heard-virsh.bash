#!/bin/bash
# Stands before virsh on the PATH of a host agent. What `virsh event` says is also in the file
# `heard.<its pid>` beside this script.
virsh=$(PATH=${PATH#*:} command -v virsh)
[[ " $* " == *' event '* ]] || exec -a virsh "$virsh" "$@"
exec -a virsh "$virsh" "$@" > >(exec tee "${0%/*}/heard.$$")
