# Runs one qemu-img commit in a session of its own, so that it goes on when the agent that started
# it dies. usage: cold-commit.bash STATE QEMU-IMG-ARGUMENTS...
#   STATE.progress  qemu-img's progress   STATE.error  its errors   STATE.exit  its exit code,
#   written last
trap '' PIPE HUP
state=$1
shift
rm -f "$state.exit"
LC_ALL=C qemu-img "$@" >"$state.progress" 2>"$state.error" 9>&- &
child=$!
echo "$child" >"$state.pid"
wait "$child"
code=$?
echo "$code" >"$state.exit.new" && mv "$state.exit.new" "$state.exit"
