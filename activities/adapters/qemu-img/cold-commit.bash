# Runs one qemu-img commit in a session of its own, so that it goes on when the agent that started
# it dies. usage: cold-commit.bash STATE VOLUME... -- QEMU-IMG-ARGUMENTS...
#   STATE.progress  qemu-img's progress   STATE.error  its errors
#   STATE.exit      its exit code, and what each volume was then; written last
trap '' PIPE HUP
state=$1
shift
volumes=()
while [[ $1 != -- ]]; do
  volumes+=("$1")
  shift
done
shift
# A run ended after the agent had looked; whether another is needed is the agent's to say.
[[ ! -e $state.exit ]] || exit 0
LC_ALL=C qemu-img "$@" >"$state.progress" 2>"$state.error" 9>&- &
child=$!
echo "$child" >"$state.pid"
wait "$child"
code=$?
{ echo "$code" && stat -L -c '%d:%i %s %.9Y' -- "${volumes[@]}"; } >"$state.exit.new" &&
  mv "$state.exit.new" "$state.exit"
