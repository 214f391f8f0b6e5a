#!/bin/bash
# What a guest feels of its capture: how long it is frozen, and how fast it writes meanwhile. Its second disk holds
# 600 MiB, and it writes there all the time.

sh "$(dirname "${BASH_SOURCE[0]}")/../support/small_guest.sh" "$WORK/guest.qcow2" >/dev/null
mkdir "$WORK/content"
"$BIN/bench_disk" "$WORK/content/files" 2500 600 >/dev/null
truncate -s 3G "$WORK/data.raw"
mke2fs -q -t ext4 -d "$WORK/content" "$WORK/data.raw"
qemu-img convert -f raw -O qcow2 "$WORK/data.raw" "$WORK/data.qcow2"
rm -r "$WORK/content" "$WORK/data.raw"
(cd "$WORK" && exec qemu-system-x86_64 -nodefaults -display none -machine q35 -accel tcg -m 256 -daemonize -pidfile pid \
  -drive file=guest.qcow2,format=qcow2,if=virtio -drive file=data.qcow2,format=qcow2,if=virtio \
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
export KILN_HOME=$WORK/home
prepare() { rm -rf "${WORK:?}/home"; } # nothing is known, so all of it is read
run_alone() { python3 "$WORK/written.py" "$WORK/talk.sock" sleep 4 >>"$WORK/alone.times"; }
run_captured() {
  python3 "$WORK/written.py" "$WORK/talk.sock" "$BIN/kiln" capture --qmp "$WORK/capture.sock" --agent "$WORK/agent.sock" \
    --require quiesced --name machine >>"$WORK/captured.times"
  "$BIN/kiln" image show machine | sed -n 's/.*capture.freeze_ms *\([0-9]*\).*/\1/p' | awk '{ print $1 / 1000 }' >>"$WORK/freeze.times"
}
in_turn alone captured
row "freeze of a guest that writes; 0.25 s" "$(median freeze)" 0.25 1 ""
row "the time that it takes to write 1 GiB meanwhile; else" "$(median captured)" "$(median alone)" 0.7 ""
kill "$(cat "$WORK/pid")"
trap - EXIT
rm -f "$WORK"/*.qcow2
