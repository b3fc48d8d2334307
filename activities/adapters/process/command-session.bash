# Runs commands for an agent, one after the other: to start a process blocks an agent of 190 MiB for
# some 5 ms, since Node forks, and this small one for less than 1 ms.
# usage: command-session.bash TOKEN, then on standard input for each command, each ended by a zero
# byte: the number of its words, then the words. What the command prints is ended on both outputs by
# a zero byte, TOKEN and another, on standard output with " EXIT CODE" between the two.
# It ends with its input. Not with a ^C: the agent ends by itself then, and may need it for that.
trap '' INT
while IFS= read -r -d '' count; do
  words=()
  while ((count--)); do
    IFS= read -r -d '' word || exit
    words+=("$word")
  done
  "${words[@]}" </dev/null
  printf '\0%s %d\0' "$1" $?
  printf '\0%s\0' "$1" >&2
done
