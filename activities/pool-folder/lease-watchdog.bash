#!/bin/bash
# Ends an SPM agent that stands still (SIGSTOP, a debugger), so that its leases fall to another
# agent and it can never wake up in the middle of an effect. It writes a line a second to our input.
# usage: lease-watchdog.bash PID SECONDS
pid=$1 seconds=$2

# 0: the agent lives, 1: it has ended (our input with it), more than 128: it has not said a word
beat() { read -r -t "$1"; }

while true; do
  beat "$seconds"; said=$?
  # Who stopped both of us, as ^Z does, gets a second look: we may have woken up first.
  ((said > 128)) && { beat 2; said=$?; }
  ((said == 0)) && continue
  # Only our parent's death by our hand: its process id is still its own while our input is open.
  ((said > 128)) && kill -KILL "$pid"
  exit 0
done
