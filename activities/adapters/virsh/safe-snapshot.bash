# Safe snapshot: [freeze,] suspend, one transaction of QEMU for all disks, verify the persistent XML
# and flush its name, resume[, thaw]; in one virsh session, in a session of its own, so that it runs
# to its end when the agent that started it dies. A plain `snapshot-create` loses writes when
# libvirtd and QEMU die in turn (docs/lab/libvirt.md).
# usage: safe-snapshot.bash URI, then on standard input one line each: UUID, SNAPSHOT (file with the
# <domainsnapshot>), RECORD (file with the persistent XML after it; empty for a transient VM),
# QUIESCE (no, try, require), FOLDER (of the persistent XML, or empty), RESULT (file for the
# report), LOCK; then for each disk a line with its target, one with what libvirt shows as its
# active layer before, and one with its overlay
#
# The states, as the report has them:
#   guest    running  it ran before: this script suspends and resumes it
#            paused   it was paused before, and stays so
#   switch   unknown  not asked yet, or virsh or libvirtd died before it answered
#            done     libvirt says so; only the views of the chain prove it
#            failed   with libvirt's words: the guest goes on with its layers
#   resumed  no       the guest may be suspended by this script
#            yes      it is not: it runs again, was never suspended, or has ended
#   frozen   no       its file systems are not frozen by this script
#            yes      they may be
#            thawed   they were
#   refusal           why they could not be frozen, in the words of libvirt
shopt -s extglob
trap '' PIPE HUP TERM
uri=$1
export LC_ALL=C
switch=unknown asked=no resumed=no frozen=no refusal=

report() {
  printf '%s\n' "guest=$guest" "switch=$switch" "resumed=$resumed" "frozen=$frozen" \
    "refusal=$refusal" "$@" >"$result"
}
coproc session { exec virsh -q -c "$uri" 2>&1; }
# Sends one command and leaves its answer in $reply; fails when virsh or libvirtd is gone. Waits
# without a limit, as the safe pivot does.
ask() {
  printf '%s\necho @end@\n' "$1" >&"${session[1]}" || return 1
  reply=
  while IFS= read -r -u "${session[0]}" line; do
    [[ $line == *'echo @end@' ]] && break
    reply+=$line$'\n'
  done
  [[ $line == *'echo @end@' && $reply != *$lost* ]]
} 2>/dev/null
# As in the safe pivot. A transaction whose answer was lost is not one that was refused: the guest
# would run on, on overlays that libvirt does not know.
lost='error: ?(internal error: )@(Disconnected from|Reconnected to|[Ff]ailed to ?(re)connect'
lost+='|End of file while reading|Cannot @(recv|write) data|client socket is closed'
lost+='|connection closed due to keepalive)'
is_refused() { [[ $reply == *error:* ]]; }
# In the session as long as it lives, which costs least; then by a process of its own.
say() {
  local line
  printf -v line "'%s' " "$@"
  # Its first line is the echo of the command.
  ask "$line" && reply=${reply#*$'\n'} && return
  reply=$(virsh -q -c "$uri" "$@" 2>&1)
}
# Of libvirt alone: what stands before is the echo, cut to the width of a terminal.
words() {
  local text=${reply#*error: }
  printf '%s' "${text//$'\n'/ }"
}

read_request() {
  IFS= read -r uuid && IFS= read -r snapshot && IFS= read -r record && IFS= read -r quiesce &&
    IFS= read -r folder && IFS= read -r result && IFS= read -r lock || return 1
  disks=() bases=() overlays=()
  while IFS= read -r disk && IFS= read -r base && IFS= read -r overlay; do
    disks+=("$disk") bases+=("$base") overlays+=("$overlay")
  done
}

# Nothing else suspends the guest meanwhile. The holder of the lock removes it at its end, so look
# whether it is still the one named.
take_lock() {
  until [[ $lock -ef /dev/fd/9 ]]; do
    exec 9>"$lock" || exit 1
    flock 9
  done 2>/dev/null
  trap 'rm -f "$lock"' EXIT
}

look_at_guest() {
  ask "domstate $uuid --reason" || exit 1
  guest=running
  [[ $reply =~ (^|[[:space:]])(paused|pmsuspended|crashed) ]] && guest=paused
}

# An agent that hangs would block the VM without end, so it gets a time-out first. A freeze that fails
# may have happened all the same.
freeze() {
  [[ $quiesce != no ]] || return 0
  ask "guest-agent-timeout $uuid --timeout 5" || exit 1
  frozen=yes
  report
  ask "domfsfreeze $uuid" || exit 1
  is_refused || return 0
  refusal=$(words)
  # It was not asked.
  [[ $refusal != *@('not configured'|'not connected')* ]] || frozen=no
  thaw 0
  [[ $quiesce == try ]]
}
# For so many seconds. An agent that gives no answer may still be at a freeze that libvirt has given
# up, and the file systems stay frozen when it is done.
thaw() {
  local deadline=$((SECONDS + $1))
  [[ $frozen == yes ]] || return 0
  while :; do
    say domfsthaw "$uuid"
    is_refused || frozen=thawed
    [[ $reply != *@('not running'|'failed to get domain')* ]] || frozen=no
    # It has answered twice, that it cannot.
    [[ -z $refusal || $reply != *'QEMU agent command'* ]] || frozen=no
    [[ $frozen == yes ]] && ((SECONDS < deadline)) || return 0
    sleep 0.5
  done
}

# Whether the answer of domblklist has these files, one for each disk.
lists() {
  local at files=("$@")
  for at in "${!disks[@]}"; do
    [[ $'\n'$reply$'\n' =~ $'\n'\ *"${disks[at]}"\ +"${files[at]}"\ *$'\n' ]] || return 1
  done
}

suspend_and_switch() {
  # Where libvirtd died in it virsh connects again, and would take a guest that runs.
  if [[ $guest == running ]]; then
    ask "suspend $uuid" || return
    if is_refused; then
      switch="failed $(words)"
      return
    fi
  fi
  # The header of an overlay has its base: over another layer it would hide what that holds.
  ask "domblklist $uuid" || return
  if ! lists "${bases[@]}"; then
    switch='failed another program has changed the layers'
    return
  fi
  asked=yes
  ask "snapshot-create $uuid --xmlfile '$snapshot' --disk-only --atomic --reuse-external \
--no-metadata" || return
  if is_refused; then switch="failed $(words)"; else switch='done'; fi
}

# Whether libvirt names the overlays, in the live XML or in the persistent one.
names_overlays() {
  say domblklist "$uuid" "$@"
  lists "${overlays[@]}"
}

# A guest that may write has a durable record (I1): libvirtd may have died before it wrote it.
ensure_recorded() {
  [[ -n $record ]] || return 0
  names_overlays --inactive || { say define "$record"; names_overlays --inactive; } ||
    return 1
  [[ -z $folder ]] || sync /dev/fd/8
}

resume_guest() {
  if [[ $guest != running ]]; then resumed=yes
  else
    say resume "$uuid"
    is_refused || resumed=yes
  fi
}

# libvirtd died in between: wait for it. While it shows the old layers only QEMU itself knows which
# ones are written, once it was asked: the agent looks, and the guest stays suspended until then. For
# at most an hour.
await_resumed() {
  local try
  for ((try = 0; try < 18000; try++)); do
    [[ $resumed == no ]] || return
    # Answered once libvirtd has taken up with QEMU again: what it says before that is old.
    say blockjob "$uuid" "${disks[0]}" --raw
    [[ $reply == *error:* && $reply != *'not running'* ]] || say domstate "$uuid"
    case $reply in
      running* | crashed* | shut* | *'failed to get domain'*) resumed=yes ;;
      paused*)
        [[ $asked == no ]] || names_overlays || return
        if [[ $asked == no ]] || ensure_recorded; then resume_guest; fi ;;
    esac
    [[ $resumed == yes ]] || sleep 0.2
  done
}

read_request || exit 0
take_lock
[[ -z $folder ]] || exec 8<"$folder" || folder=
look_at_guest
report
if ! freeze; then
  switch="not-frozen $refusal" resumed=yes
  report
  thaw 30
  report
  exit 0
fi
issued=$EPOCHREALTIME
suspend_and_switch
if [[ $switch == failed* ]] || { [[ $switch == 'done' ]] && ensure_recorded; }; then resume_guest; fi
await_resumed
ended=$EPOCHREALTIME
stall=$(((${ended/./} - ${issued/./}) / 1000))
[[ $guest == running ]] || stall=0
report "stallMs=$stall"
thaw 30
report "stallMs=$stall"
