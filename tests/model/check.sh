#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Searches the model of the slots exhaustively, and then models with one fault each, which the search
# must find:
#   check.sh DIR                    what ctest runs; writes below DIR only
#   check.sh DIR ITEMS=n COUNT=n STOPS=n TAKES=n DEATHS=n [SLEEPS]
#                                   one search within these bounds
# One line a check. What has failed stays in DIR, with Spin's trail.
set -euo pipefail

model=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/slot.pml
work=${1:?usage: check.sh DIR [BOUNDS]}
shift
mkdir -p "$work"
work=$(mktemp -d "$(cd "$work" && pwd)/slot.XXXXXX")
cd "$work"

fail() {
  cat out >&2
  echo "check.sh: $* ($work)" >&2
  exit 1
}

# search FLAGS -- NAME[=VALUE]...: builds the search and runs it; its report is in ./out.
search() {
  local flags=() defines=()
  while [[ $1 != -- ]]; do
    flags+=("$1")
    shift
  done
  shift
  for define; do defines+=("-D$define"); done
  rm -f slot.pml.trail
  cp "$model" slot.pml
  spin -a "${defines[@]}" slot.pml >out 2>&1 || fail "spin: $*"
  # No partial-order reduction, no compression: nothing is left to argue about.
  "${CC:-cc}" -w "${flags[@]}" -DNOREDUCE -DNOFAIR -DMEMLIM=3500 -o pan pan.c >out 2>&1 ||
    fail "cc: $*"
  local option=()
  [[ " ${flags[*]} " != *' -DNP '* ]] || option=(-l)
  ./pan -m10000 -w22 ${option[@]+"${option[@]}"} >out 2>&1 || true
}

# clean: no error, and no limit that ended the search before it had seen everything.
clean() {
  grep -q ', errors: 0$' out &&
    ! grep -qE 'max search depth too small|MEMLIM|out of memory|not completed' out
}

states() { sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' out; }

# holds BOUNDS...: no assertion fails, and nobody stands still before the end.
holds() {
  search -O2 -DSAFETY -- "$@"
  clean || fail "$*: an error, or an unfinished search"
  echo "holds: $*: $(states) states"
}

# ends BOUNDS...: no run goes round in circles; so every one ends, where holds() says.
ends() {
  search -O2 -DNP -- "$@"
  clean || fail "$*: a cycle, or an unfinished search"
  echo "ends: $*: $(states) states"
}

# everything_runs: of the search before, each statement of both ends has been reached.
everything_runs() {
  local process
  for process in worker parent; do
    grep -A 1 "^unreached in proctype $process\$" out | grep -q '(0 of ' ||
      fail "not all of $process is ever reached"
  done
}

# finds WHAT FLAG FAULT BOUNDS...: the search reports WHAT of the model with this fault.
finds() {
  local what=$1 flag=$2 fault=$3
  shift 3
  search -O0 "$flag" -- "$fault" "$@"
  grep -q "^pan:1: $what" out || fail "$fault is not found: $*"
  echo "finds: $fault: $what, $(states) states"
}

if (($#)); then
  holds "$@"
else
  small=(ITEMS=4 COUNT=2 STOPS=1 TAKES=1 DEATHS=1)

  holds "${small[@]}" SLEEPS
  everything_runs
  holds ITEMS=6 COUNT=3 STOPS=0 TAKES=2 DEATHS=2
  holds ITEMS=6 COUNT=2 STOPS=1 TAKES=1 DEATHS=1
  holds ITEMS=6 COUNT=3 STOPS=1 TAKES=1 DEATHS=1
  holds ITEMS=4 COUNT=2 STOPS=2 TAKES=1 DEATHS=1
  ends "${small[@]}" SLEEPS

  for fault in ONE_LAP TAKE_BACK_STORES PROGRESS_STAYS SALVAGE_RUNS_AGAIN NO_MEMBARRIER \
    GATE_BEFORE_PROGRESS WAIT_WITHOUT_GATE PROGRESS_STAYS_ODD ANSWER_BEATS_COMMIT \
    COMMIT_LEAVES_BLAME OPEN_UNDER_KILL; do
    finds 'assertion violated' -DSAFETY "$fault" "${small[@]}"
  done
  for fault in SLEEP_WITHOUT_LOOK OPEN_WITHOUT_WAKE; do
    finds 'invalid end state' -DSAFETY "$fault" "${small[@]}" SLEEPS
  done
  finds 'non-progress cycle' -DNP NEVER_SLEEP "${small[@]}" SLEEPS
fi
cd /
rm -rf "$work"
