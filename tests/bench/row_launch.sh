#!/bin/bash
# Many instances of one image, made and not started, against qemu-img create -b and cloud-localds in a loop; the time
# until a launch has QEMU running; and a restore after one percent of a disk was damaged, against writing all of it.

export KILN_HOME=$WORK/home
truncate -s 64M "$WORK/small.raw"
head -c 1M /dev/urandom | dd of="$WORK/small.raw" conv=notrunc status=none
"$BIN/kiln" import "$WORK/small.raw" --name small >/dev/null 2>&1
"$BIN/kiln" launch small --name first --stopped --accel tcg >/dev/null # its base is there from now on
qemu-img convert -f raw -O qcow2 "$WORK/small.raw" "$WORK/base.qcow2"

prepare() { rm -rf "${WORK:?}/home/instances" "$WORK/they"; }
run_kiln() {
  measure kiln "$BIN/kiln" launch small --count 200 --name "web-#" --stopped --accel tcg
  bytes=$(du -s --block-size=1 "$KILN_HOME/instances" | cut -f1)
}
cat >"$WORK/loop" <<'END2'
set -e
mkdir "$1/they"
for ((i = 1; i <= 200; ++i)); do
  mkdir "$1/they/web-$i"
  printf '#cloud-config\n' >"$1/they/web-$i/user-data"
  printf 'instance-id: iid-web-%s\nlocal-hostname: web-%s\n' "$i" "$i" >"$1/they/web-$i/meta-data"
  qemu-img create -q -f qcow2 -F qcow2 -b "$1/base.qcow2" "$1/they/web-$i/disk.qcow2"
  cloud-localds "$1/they/web-$i/seed.img" "$1/they/web-$i/user-data" "$1/they/web-$i/meta-data"
done
END2
run_loop() { measure loop bash "$WORK/loop" "$WORK"; }
in_turn kiln loop
row "prepare 200 instances; qemu-img + cloud-localds" "$(median kiln)" "$(median loop)" 4 "$(peak kiln)"
row "prepare 200 instances; 1.5 s" "$(median kiln)" 1.5 1 "$(peak kiln)"
row_size "disk of an instance that was not started; 1 MiB" $((bytes / 200)) 1048576 1

# A program in QEMU's place notes when it was started, and becomes QEMU.
mkdir "$WORK/bin"
cat >"$WORK/bin/qemu-system-x86_64" <<END2
#!/bin/sh
date +%s%N >"$WORK/running"
exec $(command -v qemu-system-x86_64) "\$@"
END2
chmod +x "$WORK/bin/qemu-system-x86_64"
prepare() { rm -rf "${WORK:?}/home/instances"; }
run_overhead() {
  local from
  from=$(date +%s%N)
  PATH=$WORK/bin:$PATH "$BIN/kiln" launch small --name one --memory 64M --cpus 1 --accel tcg >/dev/null
  awk -v from="$from" -v to="$(cat "$WORK/running")" 'BEGIN { printf "%.3f\n", (to - from) / 1e9 }' \
    >>"$WORK/overhead.times"
  "$BIN/kiln" rm one --force >/dev/null
}
in_turn overhead
row "kiln launch until QEMU is started; 0.15 s" "$(median overhead)" 0.15 1 ""

# The disk is one that was written to its end; of that, one percent is damaged, in a hundred places.
rm -rf "${WORK:?}/home"
"$BIN/bench_disk" "$WORK/disk.raw" >/dev/null
"$BIN/kiln" import "$WORK/disk.raw" --name server >/dev/null 2>&1
"$BIN/kiln" launch server --name one --stopped --accel tcg >/dev/null
"$BIN/kiln" backup one >/dev/null 2>&1
size=$(stat -c %s "$WORK/disk.raw")
used=$(du --block-size=1 "$WORK/disk.raw" | cut -f1)
prepare() { rm -f "$WORK/whole.qcow2"; }
run_restore() {
  local i commands=()
  for ((i = 0; i < 100; ++i)); do
    commands+=(-c "write -P $((1 + RANDOM % 250)) $((size / 100 * i / 65536 * 65536)) $((used / 10000 / 512 * 512))")
  done
  qemu-io -f qcow2 "${commands[@]}" "$KILN_HOME/instances/one/disk.qcow2" >/dev/null
  sync
  measure restore "$BIN/kiln" restore one
}
run_whole() {
  # shellcheck disable=SC2016
  measure whole sh -c 'qemu-img convert -f raw -O qcow2 "$1/disk.raw" "$1/whole.qcow2" && sync "$1/whole.qcow2"' - "$WORK"
}
in_turn restore whole
unset -f prepare
qemu-img compare -q -f qcow2 -F raw "$KILN_HOME/instances/one/disk.qcow2" "$WORK/disk.raw"
row "restore after 1 % was damaged; writing the whole disk" "$(median restore)" "$(median whole)" "<=0.15" "$(peak restore)"
unset KILN_HOME
rm -f "$WORK"/*.raw "$WORK"/*.qcow2
