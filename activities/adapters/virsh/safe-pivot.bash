# Safe pivot: suspend, pivot, verify the persistent XML, flush its name, resume; in one virsh session,
# in a session of its own, so that it runs to its end when the agent that started it dies. Resumes in
# every case: the guest never stays paused (I12).
# usage: safe-pivot.bash URI, then on standard input one line each, when the pivot is due (no line:
# nothing is done): UUID, DISK, BASE, PERSISTENT (yes or no), RECORD (metadata element that
# announces the pivot), FOLDER (of the persistent XML, or empty), RESULT (file for the report), LOCK
# It connects before it reads, so that a process that waits with its connection open loses no time
# at READY.
trap '' PIPE HUP
uri=$1
export LC_ALL=C
pivot=unknown resumed=no

report() {
  printf '%s\n' "guest=$guest" "pivot=$pivot" "resumed=$resumed" "$@" >"$result"
}
coproc session { exec virsh -q -c "$uri" 2>&1; }
# Sends one command and leaves its answer in $reply; fails when virsh or libvirtd is gone (virsh
# finds out by its keepalive). Waits without a limit: QEMU suspends and pivots nothing while the
# storage of base is away, and whoever went on meanwhile would leave the guest paused. virsh
# echoes each command as it reads it, so the echo of the marker comes right after the answer to the
# command before it.
ask() {
  printf '%s\necho @end@\n' "$1" >&"${session[1]}" || return 1
  reply=
  while IFS= read -r -u "${session[0]}" line; do
    [[ $line == *'echo @end@' ]] && return 0
    reply+=$line$'\n'
  done
  return 1
} 2>/dev/null

# libvirt flushes the XML, but not its new name: after a power cut the VM would boot from top,
# without what it has written since. The folder is held open, as its name may go with libvirtd.
flush_record() { [[ -z $folder ]] || sync /dev/fd/8; }

for name in uuid disk base persistent record folder result lock; do
  IFS= read -r "$name" || exit 0
done
# Pivots of one VM never overlap: the second would take the guest that the first suspended for one
# that the user paused, and pivot after the first has resumed it.
# Whoever holds the lock removes it at its end, so look whether it is still the one named.
until [[ $lock -ef /dev/fd/9 ]]; do
  exec 9>"$lock"
  flock 9
done 2>/dev/null
trap 'rm -f "$lock"' EXIT
[[ -z $folder ]] || exec 8<"$folder" || folder=
ask "domstate $uuid --reason" || exit 1
# A word of its own: a guest that was resumed once is "running (unpaused)".
[[ $reply =~ (^|[[:space:]])(paused|pmsuspended) ]] && guest=paused || guest=running
# QEMU paused it, nobody else, because a layer had no space or an error: with base it may run on.
[[ $reply == *'I/O error'* ]] && guest=running
report
ask "metadata $uuid --uri urn:blockflow:job:$disk --key blockflow --set '$record' --live" || {
  resumed=yes
  report
  exit 1
}
issued=$EPOCHREALTIME
# Without the suspension the pivot would not be safe.
if [[ $guest == running ]] && ask "suspend $uuid" && [[ $reply == *error:* ]]; then
  pivot="failed ${reply//$'\n'/ }"
elif ask "blockjob $uuid $disk --pivot"; then
  [[ $reply == *error:* ]] && pivot="failed ${reply//$'\n'/ }" || pivot=done
fi
# Resume only once the persistent XML names the base, or the pivot did not happen (H1).
verified=no
if [[ $persistent == no || $pivot == failed* ]]; then verified=yes
elif ask "domblklist $uuid --inactive" && [[ $reply == *" $disk "*" $base"$'\n'* ]]; then
  flush_record
  verified=yes
fi
if [[ $guest != running ]]; then resumed=yes
elif [[ $verified == yes ]] && ask "resume $uuid" && [[ $reply != *error:* ]]; then resumed=yes
fi
# libvirtd died in between: wait for it. When it is back it writes the XML of a pivot that QEMU has
# done meanwhile, so resume once both XMLs name one file, and after 10 s of an answering libvirtd in
# any case.
source_of() { virsh -q -c "$uri" domblklist "$uuid" "$@" 2>/dev/null | grep "^ $disk "; }
for ((try = 0, waited = 0; try < 18000; try++)); do
  [[ $resumed == no ]] || break
  case $(virsh -q -c "$uri" domstate "$uuid" 2>&1) in
    running* | shut* | *'failed to get domain'*) resumed=yes ;;
    paused*)
      if [[ $persistent == no || $(source_of) == "$(source_of --inactive)" ]] || ((waited++ >= 50)); then
        flush_record
        virsh -q -c "$uri" resume "$uuid" >/dev/null 2>&1 && resumed=yes
      fi ;;
  esac
  [[ $resumed == yes ]] || sleep 0.2
done
ended=$EPOCHREALTIME
stall=$(((${ended/./} - ${issued/./}) / 1000))
[[ $guest == running ]] || stall=0
report "stallMs=$stall" "issuedAt=$issued"
