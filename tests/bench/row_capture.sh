#!/bin/bash
# A machine that runs into an image, against QMP's drive-backup into a qcow2 file and a digest of that; then again after
# one percent of its disk has changed. The machine is a QEMU without a guest: its disk is written to over the monitor.
# Then one with a guest, which writes to its second disk all the time.

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

# --- what a guest feels of it: its second disk holds 600 MiB, and it writes there all the time

sh "$(dirname "${BASH_SOURCE[0]}")/../support/small_guest.sh" "$WORK/guest.qcow2" >/dev/null
mkdir "$WORK/content"
"$BIN/bench_disk" "$WORK/content/files" 2500 600 >/dev/null
mke2fs -q -t ext4 -d "$WORK/content" "$WORK/data.raw" 3G
qemu-img convert -f raw -O qcow2 "$WORK/data.raw" "$WORK/data.qcow2"
rm -r "$WORK/content" "$WORK/data.raw"
(cd "$WORK" && exec qemu-system-x86_64 -nodefaults -display none -machine q35 -accel tcg -m 256 -daemonize -pidfile pid \
  -drive file=guest.qcow2,format=qcow2,if=virtio -drive file=data.qcow2,format=qcow2,if=virtio,cache=none \
  -qmp unix:capture.sock,server=on,wait=off -qmp unix:talk.sock,server=on,wait=off -serial file:serial \
  -device virtio-serial -chardev socket,id=agent,path=agent.sock,server=on,wait=off \
  -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0)
trap 'kill "$(cat "$WORK/pid")"' EXIT
until grep -q KILN-GUEST-READY "$WORK/serial"; do sleep 0.5; done

# write.py SOCKET: a program in the guest that writes for as long as it runs, never zeros.
cat >"$WORK/write.py" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
line = ("head -c 16777216 /dev/urandom >/run/random; mount -o remount,rw /data;"
        "while :; do for i in 1 2 3 4 5 6 7 8; do dd if=/run/random of=/data/w$i bs=1M conv=notrunc,fsync; done; done")
s.sendall(json.dumps({"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", line]}}).encode())
print(s.recv(4096))
END
# written.py SOCKET COMMAND…: the seconds that the guest took for each GiB which it wrote while the command ran.
cat >"$WORK/written.py" <<'END'
import json, socket, subprocess, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
def written():
    f.write(json.dumps({"execute": "query-blockstats"}) + "\n")
    f.flush()
    while True:
        answer = json.loads(f.readline())
        if "return" in answer:
            return answer["return"][1]["stats"]["wr_bytes"]
f.write(json.dumps({"execute": "qmp_capabilities"}) + "\n")
f.flush()
f.readline()
start, before = time.monotonic(), written()
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print((time.monotonic() - start) / max(1, written() - before) * 2**30)
END
python3 "$WORK/write.py" "$WORK/agent.sock" >/dev/null
sleep 5
prepare() { rm -rf "${WORK:?}/home"; } # nothing is known, so all of it is read
run_alone() { python3 "$WORK/written.py" "$WORK/talk.sock" sleep 4 >>"$WORK/alone.times"; }
run_captured() {
  python3 "$WORK/written.py" "$WORK/talk.sock" "$BIN/kiln" capture --qmp "$WORK/capture.sock" --agent "$WORK/agent.sock" \
    --require quiesced --name machine >>"$WORK/captured.times"
  "$BIN/kiln" image show machine | sed -n 's/.*capture.freeze_ms *\([0-9]*\).*/\1/p' | awk '{ print $1 / 1000 }' >>"$WORK/freeze.times"
}
in_turn alone captured
row "freeze of a guest that writes; 0.25 s" "$(median freeze)" 0.25 1
row "the time that it takes to write 1 GiB meanwhile; else" "$(median captured)" "$(median alone)" 0.7
unset -f prepare
kill "$(cat "$WORK/pid")"
trap - EXIT
rm -f "$WORK"/*.qcow2
