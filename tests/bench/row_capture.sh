#!/bin/bash
# A machine that runs into an image, against QMP's drive-backup into a qcow2 file and a digest of that; then again after
# one percent of its disk has changed. The machine is a QEMU without a guest: its disk is written to over the monitor.

"$BIN/bench_disk" "$WORK/disk.raw" >/dev/null
qemu-img convert -f raw -O qcow2 "$WORK/disk.raw" "$WORK/disk.qcow2"
rm "$WORK/disk.raw"

# talk.py SOCKET JSON…: sends commands; "wait" waits until no job is left.
cat >"$WORK/talk.py" <<'END'
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
def ask(command):
    f.write(json.dumps(command) + "\n")
    f.flush()
    while True:
        answer = json.loads(f.readline())
        if "error" in answer:
            sys.exit(answer["error"]["desc"])
        if "return" in answer:
            return answer["return"]
ask({"execute": "qmp_capabilities"})
for word in sys.argv[2:]:
    if word == "wait":
        while ask({"execute": "query-jobs"}):
            time.sleep(0.01)
    else:
        ask(json.loads(word))
END
(cd "$WORK" && exec qemu-system-x86_64 -nodefaults -display none -machine q35 -accel tcg -m 64 -daemonize -pidfile pid \
  -drive file=disk.qcow2,format=qcow2,if=virtio -qmp unix:capture.sock,server=on,wait=off \
  -qmp unix:talk.sock,server=on,wait=off)
trap 'kill "$(cat "$WORK/pid")"' EXIT
talk() { python3 "$WORK/talk.py" "$WORK/talk.sock" "$@"; }

export KILN_HOME=$WORK/home
prepare() { rm -rf "${WORK:?}/home" "$WORK/backup.qcow2"; }
run_kiln() { measure kiln "$BIN/kiln" capture --qmp "$WORK/capture.sock" --name machine; }
run_backup() {
  # shellcheck disable=SC2016
  measure backup sh -c 'python3 "$1/talk.py" "$1/talk.sock" \
    "{\"execute\": \"drive-backup\", \"arguments\": {\"device\": \"virtio0\", \"job-id\": \"b\", \"sync\": \"full\",
      \"target\": \"$1/backup.qcow2\", \"format\": \"qcow2\"}}" wait && sha256sum "$1/backup.qcow2"' - "$WORK"
}
in_turn kiln backup

# One percent as many bytes as the disk has data, in a hundred places.
used=$(stat -c %s "$WORK/disk.qcow2")
size=$(qemu-img info -U --output=json "$WORK/disk.qcow2" | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | head -1)
change() {
  local i command=()
  for ((i = 0; i < 100; ++i)); do
    command+=("{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\":
      \"qemu-io virtio0 \\\"write -P $((1 + RANDOM % 250)) $((size / 100 * i / 65536 * 65536)) $((used / 10000 / 512 * 512))\\\"\"}}")
  done
  talk "${command[@]}"
}
prepare() { change; }
run_again() { measure again "$BIN/kiln" capture --qmp "$WORK/capture.sock" --name machine; }
"$BIN/kiln" capture --qmp "$WORK/capture.sock" --name machine >/dev/null 2>&1
in_turn again
unset -f prepare

# Speed counts only for the right bytes.
"$BIN/kiln" image export machine "$WORK/out.qcow2" >/dev/null
talk '{"execute": "human-monitor-command", "arguments": {"command-line": "qemu-io virtio0 flush"}}'
qemu-img compare -q -U -f qcow2 -F qcow2 "$WORK/disk.qcow2" "$WORK/out.qcow2"
"$BIN/kiln" image show machine | grep -q 'capture.read *changes'

row "capture a machine that runs; drive-backup + sha256sum" "$(median kiln)" "$(median backup)" 2 "$(peak kiln)"
row "capture it after 1 % has changed; the first capture" "$(median again)" "$(median kiln)" "<=0.15" "$(peak again)"
kill "$(cat "$WORK/pid")"
trap - EXIT
rm -f "$WORK"/*.qcow2
