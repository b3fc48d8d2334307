# Safe pivot: suspend, pivot every disk that is named, verify the persistent XML, flush its name,
# resume; in one virsh session, in a session of its own, so that it runs to its end when the agent
# that started it dies. Several disks of one VM switch within one suspension; the same with the jobs
# ended instead makes copies of one moment.
# Resumes in every case (I12) but two, which stay suspended for the agent: libvirtd died inside the
# pivot and what it says now is not what QEMU has, where both layers are equal only so long; or
# libvirt's lock manager lets no guest be resumed (D53).
# usage: safe-pivot.bash URI, then on standard input one line each, when the pivot is due (no line:
# nothing is done): UUID, ACTION (pivot or abort: what ends the jobs), PERSISTENT (yes or no),
# FOLDER (of the persistent XML, or empty), LOCK, BUDGET (milliseconds for jobs to become READY, and
# to write all that they have left, while the guest is suspended); then six for each disk: DISK, JOB
# (active-commit or copy), TO (the layer that it leads to), RECORD (metadata element that announces
# the pivot, or empty), KEPT (whose copy it is once all jobs were ended in this suspension, or
# empty), RESULT (file for its report)
# It connects before it reads, so that a process that waits with its connection open loses no time
# at READY.
#
# The states, as the report of each disk has them, with JOB, FROM (what the record named before) and
# TO, and WITH: all disks of this suspension:
#   guest    running  it ran before: this script suspends and resumes it
#            paused   the user has paused it, and it stays so
#   pivot    unknown  not asked yet, or virsh or libvirtd died before it answered
#            done     libvirt says so; only the chain proves it
#            failed   with libvirt's words: the guest goes on with its layer
#   behind  yes       its job had more left than the budget is long; else no, or ended
#   resumed  no       the guest may be suspended by this script
#            yes      it is not: it runs again, was never suspended, or has ended
#   refused           why libvirt has not resumed it, in its words
#   kept     KEPT: ACTION was abort, and every job was ended, so that the copies are of one moment
# A report that ends with `resumed=no` leaves the guest to the agent (give-back-guest.ts).
shopt -s extglob
# SIGTERM comes when a service manager ends all of the agent: the guest is given back first. One that
# waits ends with its input. virsh inherits this.
trap '' PIPE HUP TERM
uri=$1
export LC_ALL=C
disks=() resumed=no left=no refused='' waited_ms=0
# Each of them by the name of the disk.
declare -A job to record kept result before pivot behind

report() {
  local disk
  for disk in "${disks[@]}"; do
    printf '%s\n' "job=${job[$disk]}" "from=$(path_in "${before[$disk]}")" "to=${to[$disk]}" \
      "with=${disks[*]}" "action=$action" "guest=$guest" "pivot=${pivot[$disk]}" \
      "behind=${behind[$disk]}" "resumed=$resumed" "refused=$refused" "$@" >"${result[$disk]}"
    ! is_kept || echo "kept=${kept[$disk]}" >>"${result[$disk]}"
  done
}
# ` vda      /path`, which may have spaces.
path_in() { [[ $1 =~ ^\ [^\ ]+\ +(.*)$ ]] && printf '%s' "${BASH_REMATCH[1]}"; }
is_kept() { [[ $action == abort ]] && ! any_pivot unknown && ! any_pivot failed; }
coproc session { exec virsh -q -c "$uri" 2>&1; }
# Sends one command and leaves its answer in $reply; fails when virsh or libvirtd is gone (virsh
# finds out by its keepalive). Waits without a limit: QEMU suspends and pivots nothing while the
# storage of a layer is unavailable, and to go on meanwhile would leave the guest paused. virsh
# echoes each command as it reads it, so the echo of the marker comes right after the answer to the
# command before it.
ask() {
  printf '%s\necho @end@\n' "$1" >&"${session[1]}" || return 1
  reply=
  while IFS= read -r -u "${session[0]}" line; do
    [[ $line == *'echo @end@' ]] && break
    reply+=$line$'\n'
  done
  [[ $line == *'echo @end@' && $reply != *$lost* ]]
} 2>/dev/null
# virsh says so and connects again, also to a libvirtd that its socket has just started: whether the
# command was done is not known. That it is disconnected may stand before the next answer only.
lost='error: ?(internal error: )@(Disconnected from|Reconnected to|[Ff]ailed to ?(re)connect'
lost+='|End of file while reading|Cannot @(recv|write) data|client socket is closed'
lost+='|connection closed due to keepalive)'
# After an answer: whether it is an error, and the words of libvirt for the report. What stands
# before them is the echo of the command.
is_refused() { [[ $reply == *error:* ]]; }
refusal() {
  local text=${reply#*error: }
  printf 'failed %s' "${text//$'\n'/ }"
}

# libvirt flushes the XML, but not its new name: after a power cut the VM would boot from the
# old layer, without what it has written since. The folder is held open, as its name may go with libvirtd.
flush_record() { [[ -z $folder ]] || sync /dev/fd/8; }

read_request() {
  local disk
  IFS= read -r uuid && IFS= read -r action && IFS= read -r persistent && IFS= read -r folder &&
    IFS= read -r lock && IFS= read -r budget || return 1
  while IFS= read -r disk && IFS= read -r "job[$disk]" && IFS= read -r "to[$disk]" &&
    IFS= read -r "record[$disk]" && IFS= read -r "kept[$disk]" &&
    IFS= read -r "result[$disk]"; do
    disks+=("$disk") pivot[$disk]=unknown behind[$disk]=no
  done
}

# Pivots of one VM never overlap: the second would take the guest that the first suspended for one
# that the user paused, and pivot after the first has resumed it.
# The holder of the lock removes it at its end, so look whether it is still the one named.
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
  # A word of its own: a guest that was resumed once is "running (unpaused)".
  [[ $reply =~ (^|[[:space:]])(paused|pmsuspended|crashed) ]] && guest=paused
  # QEMU itself paused it, because a layer had no space or an error: with the new one it may run on.
  [[ $reply == *'I/O error'* ]] && guest=running
  [[ $persistent == no ]] || ! ask "domblklist --inactive $uuid" || note_before
}
note_before() {
  local disk
  for disk in "${disks[@]}"; do before[$disk]=$(of_disk "$disk" <<<"$reply"); done
}
of_disk() { grep "^ $1 "; }

announce() {
  local disk words
  for disk in "${disks[@]}"; do
    words="--uri urn:blockflow:job:$disk --key blockflow --set '${record[$disk]}' --live"
    [[ -z ${record[$disk]} ]] || ask "metadata $uuid $words" || return
  done
}

suspend_and_pivot() {
  local disk
  # Without the suspension the pivot would not be safe. Where libvirtd died in it virsh connects
  # again, and would pivot a guest that runs.
  if [[ $guest == running ]]; then
    ask "suspend $uuid" || return
    if is_refused; then
      for disk in "${disks[@]}"; do pivot[$disk]=$(refusal); done
      return
    fi
  fi
  settle || return
  # One that is refused stops no other one: whichever switch, each disk has every write.
  for disk in "${disks[@]}"; do
    ask "blockjob $uuid $disk --$action" || return
    if is_refused; then pivot[$disk]=$(refusal); else pivot[$disk]='done'; fi
  done
}

# What is left is copied while the guest is suspended, or the guest runs on: a pivot would keep it
# suspended for as long as that takes. And libvirt reports no failure of an abort, and ends a mirror
# that is not READY as well.
settle() {
  local disk since=
  while look_at_jobs; do
    if [[ $action == abort ]] && any_disk has_ended; then
      not_settled 'a mirror is not READY'
      return 1
    fi
    if ! any_disk is_behind; then
      [[ -z $since ]] || waited_ms=$(ms_since "$since")
      return 0
    fi
    : "${since:=$EPOCHREALTIME}"
    if (($(ms_since "$issued") >= budget)); then
      not_settled "not READY after $budget ms"
      return 1
    fi
    sleep 0.01
  done
  return 1
}
not_settled() {
  local disk
  for disk in "${disks[@]}"; do pivot[$disk]="failed $1"; done
}
has_ended() { [[ ${behind[$disk]} == ended ]]; }
is_behind() { [[ ${behind[$disk]} == yes ]]; }
# Not READY, or READY without all of what the guest has written since: libvirt reports no job as
# equal before. One that has ended is none to wait for: its pivot is refused. No XML is read, which
# takes seconds for hundreds of layers; but libvirt may not have heard of a READY that has just come.
look_at_jobs() {
  local disk
  for disk in "${disks[@]}"; do
    ask "blockjob $uuid $disk --raw" || return
    if [[ ! $reply =~ cur=([0-9]+).*end=([0-9]+) ]]; then behind[$disk]=ended
    elif [[ ${BASH_REMATCH[1]} != "${BASH_REMATCH[2]}" ]]; then behind[$disk]=yes
    elif [[ ${behind[$disk]} == yes ]] && ! says_ready; then :
    else behind[$disk]=no
    fi
  done
}
says_ready() { [[ $(mirror_of "$(say dumpxml "$uuid")") == *" ready='yes'"* ]]; }
ms_since() {
  local now=$EPOCHREALTIME
  printf %d $(((${now/./} - ${1/./}) / 1000))
}
# What the XML of a domain says of the mirror of the disk.
mirror_of() {
  local xml
  # Of few lines: bash looks through a long text again and again.
  xml=$(grep -oE '<(disk|mirror|target) [^>]*>' <<<"$1")
  xml=${xml%%"<target dev='$disk'"*}
  printf %s "${xml##*<disk }"
}

# Resume only once the persistent XML names the new layers, or no pivot happened (H1).
verify_record() {
  verified=no
  if [[ $persistent == no || $action == abort ]] || ! any_pivot 'done'; then
    any_pivot unknown || verified=yes
  elif ! any_pivot unknown && ask "domblklist $uuid --inactive" && names_new; then
    flush_record
    verified=yes
  fi
}
any_pivot() { [[ " ${pivot[*]%% *} " == *" $1 "* ]]; }
names_new() {
  local disk
  for disk in "${disks[@]}"; do
    [[ ${pivot[$disk]} != 'done' || $reply == *" $disk "*" ${to[$disk]}"$'\n'* ]] || return
  done
}

resume_guest() {
  if [[ $guest != running ]]; then resumed=yes
  elif [[ $verified == yes ]] && ask "resume $uuid"; then note_resumed "$reply"
  fi
}
# A refusal is reported at once. One for a lease of libvirt's lock manager is not tried again: each
# try leases the disks before that one, which then stand in the way of the next.
note_resumed() {
  local words=${1#*error: }
  words=${words%$'\n'} words=${words//$'\n'error: /: } words=${words//$'\n'/ }
  if [[ $1 != *error:* ]]; then resumed=yes
  elif [[ $refused != "$words" ]]; then
    refused=$words
    report
  fi
  [[ $resumed == yes || $1 != *@($leased)* ]] || left=yes
}
leased='Lockspace resource|Failed to acquire lock'

# libvirtd died in between: wait for it. When it is back it writes the XML of a pivot that QEMU has
# done meanwhile, so resume once both XMLs name one file. A record that a user has changed is no
# reason to keep the guest paused for more than 10 s of an answering libvirtd. For at most an hour
# of such looks.
await_resumed() {
  local try
  waited=0
  for ((try = 0; try < 18000; try++)); do
    [[ $resumed == no && $left == no ]] || return
    look_again
    [[ $resumed == yes ]] || sleep 0.2
  done
}
look_again() {
  case $(say domstate "$uuid") in
    running* | crashed*) resumed=yes ;;
    shut* | *'failed to get domain'*) if qemu_lives; then leave; else resumed=yes; fi ;;
    # Answered once libvirtd has taken up with QEMU again: what the XML says before that is old.
    paused*) [[ $(say blockjob "$uuid" "${disks[0]}" --raw) == *error:* ]] || look_at_chain ;;
  esac
}
look_at_chain() {
  if any_disk is_in_limbo || any_disk is_unseen; then leave
  elif ! any_disk is_split || ((waited++ >= 50)); then
    flush_record
    note_resumed "$(say resume "$uuid")"
  elif any_disk is_on_old; then leave
  fi
}
# Whether what is asked is true of a disk.
any_disk() {
  local disk
  for disk in "${disks[@]}"; do ! "$1" || return 0; done
  return 1
}
# Not at the first look: libvirtd may still be at work.
leave() { ((waited++ >= 3)) && left=yes; }
say() { virsh -q -c "$uri" "$@" 2>&1; }
source_of() { say domblklist "$uuid" "$@" | of_disk "$disk"; }
# Both XMLs do not name one file.
is_split() {
  local live
  live=$(source_of)
  [[ -z $live || ($persistent != no && $live != "$(source_of --inactive)") ]]
}
# The record still names what it named before the pivot: H1, were the guest to run.
is_on_old() {
  [[ -n ${before[$disk]} ]] && is_split && [[ $(source_of --inactive) == "${before[$disk]}" ]]
}
# libvirt shows the old layer and will never end the job, while QEMU has the new one.
is_in_limbo() {
  [[ $(mirror_of "$(say dumpxml "$uuid")") == *'<mirror '*" ready='pivot'"* ]]
}
# libvirt has forgotten the mirror of a copy and shows its source, while QEMU may have the copy
# (H2); or it takes the abort of one for a pivot.
is_unseen() {
  [[ ${job[$disk]} == copy && -z $(say blockjob "$uuid" "$disk" --raw) ]] || return
  if [[ $action == pivot ]]; then [[ $(source_of) != *" ${to[$disk]}" ]]
  else [[ $(source_of) == *" ${to[$disk]}" ]]
  fi
}
# libvirt 9.0 may call a VM shut off although its QEMU lives.
qemu_lives() {
  local file words
  for file in /proc/[0-9]*/cmdline; do
    mapfile -d '' -t words <"$file"
    [[ " ${words[*]} " == *" -uuid $uuid "* ]] && return
  done 2>/dev/null
  return 1
}

read_request || exit 0
take_lock
[[ -z $folder ]] || exec 8<"$folder" || folder=
look_at_guest
report
announce || {
  resumed=yes
  report
  exit 1
}
issued=$EPOCHREALTIME
suspend_and_pivot
verify_record
resume_guest
await_resumed
stall=$(ms_since "$issued")
[[ $guest == running ]] || stall=0
report "stallMs=$stall" "waitedMs=$waited_ms" "issuedAt=$issued"
