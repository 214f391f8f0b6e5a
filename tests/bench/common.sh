#!/bin/bash
# Sourced by tests/bench/run and its rows: how things are measured, and the table.
# Given: BIN, the folder of the release build's programs; WORK, an empty folder on a disk; RUNS, how often.

# measure NAME COMMAND…: runs it once, adds its seconds to $WORK/NAME.times, its peak memory in KiB to NAME.peaks, and the
# bytes that it read and wrote to NAME.read and NAME.written.
measure() {
  local name=$1
  shift
  local answer seconds kib read written
  local -a as=()
  [ -z "${ALONE:-}" ] || as=(chrt -r 1)
  if ! answer=$("$BIN/bench_measure" "${as[@]}" "$@" 2>&1 >"$WORK/$name.out"); then
    echo "tests/bench: $* failed: $answer" >&2
    exit 1
  fi
  read -r seconds kib read written <<<"${answer##*$'\n'}"
  echo "$seconds" >>"$WORK/$name.times"
  echo "$kib" >>"$WORK/$name.peaks"
  echo "$read" >>"$WORK/$name.read"
  echo "$written" >>"$WORK/$name.written"
}

# median NAME: of its seconds. peak NAME: of its memory, in MiB.
median() { sort -g "$WORK/$1.times" | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'; }
peak() { sort -g "$WORK/$1.peaks" | tail -1 | awk '{ printf "%d", ($1 + 1023) / 1024 }'; }

# in_turn NAME…: calls run_NAME of each, RUNS times, one after the other, so that a slow minute of the machine is
# everyone's. Before each, what was written is on the disk and prepare (if defined) has run.
in_turn() {
  local round name
  for ((round = 0; round < RUNS; ++round)); do
    for name in "$@"; do
      declare -F prepare >/dev/null && prepare
      sync
      "run_$name"
    done
  done
}

# row WHAT OURS-SECONDS THEIRS-SECONDS BAR PEAK-MIB: one line of the table. BAR is the least ratio theirs / ours; written
# as "<=0.15" it is the greatest ratio ours / theirs. A bar that is not met makes tests/bench/run fail.
row() {
  awk -v what="$1" -v ours="$2" -v theirs="$3" -v bar="$4" -v peak="$5" 'BEGIN {
    most = sub(/^<=/, "", bar)
    ratio = most ? ours / theirs : theirs / ours
    met = (most ? ratio <= bar : ratio >= bar) && (peak == "" || peak < 200)
    printf "| %-52s | %7.2f s | %7.2f s | %5.2f | %s%-5s | %4s MiB | %-6s |\n", what, ours, theirs, ratio,
           most ? "<=" : ">=", bar, peak == "" ? "-" : peak, met ? "met" : "MISSED"
  }' | tee -a "$WORK/table"
}

# row_size WHAT OURS-BYTES THEIRS-BYTES BAR: the same for space; the bar is the greatest ratio ours / theirs.
row_size() {
  awk -v what="$1" -v ours="$2" -v theirs="$3" -v bar="$4" 'BEGIN {
    ratio = ours / theirs
    printf "| %-52s | %5.1f MiB | %5.1f MiB | %5.2f | <=%-5s | %8s | %-6s |\n", what, ours / 1048576, theirs / 1048576,
           ratio, bar, "-", ratio <= bar ? "met" : "MISSED"
  }' | tee -a "$WORK/table"
}

# least A B: the smaller number. bytes_in FOLDER: of all files below it.
least() { awk -v a="$1" -v b="$2" 'BEGIN { print a < b ? a : b }'; }
bytes_in() { find "$1" -type f -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }'; }
