#!/bin/bash
# Stands before virsh on the PATH of a host agent. An interactive virsh stops before the line that
# holds the text of the file `hold` beside this script, says so with `hold.reached`, and goes on
# when `hold` is gone.
hold=${0%/*}/hold
virsh=$(PATH=${PATH#*:} command -v virsh)
(($# > 3)) && exec "$virsh" "$@"
held() {
  while IFS= read -r line; do
    if [[ -f $hold && $line == *"$(<"$hold")"* ]]; then
      : >"$hold.reached"
      while [[ -f $hold ]]; do sleep 0.02; done
    fi
    printf '%s\n' "$line"
  done
}
# This process becomes virsh, so that its end is seen at once, as without this script.
exec {lines}<&0
exec "$virsh" "$@" < <(held <&"$lines" 2>/dev/null) {lines}<&-
