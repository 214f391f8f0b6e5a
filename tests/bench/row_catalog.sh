#!/bin/bash
# Publishing: into an empty catalog, again from another format, and after a change of 20 MiB. Input in the page cache.

"$BIN/bench_disk" "$WORK/disk.raw" >/dev/null
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size=on "$WORK/disk.raw" "$WORK/disk.vhd"
qemu-img convert -f raw -O qcow2 "$WORK/disk.raw" "$WORK/disk.qcow2"
rm "$WORK/disk.raw"
qemu-img create -q -f qcow2 -F qcow2 -b "$WORK/disk.qcow2" "$WORK/change.qcow2"
head -c 4194304 /dev/urandom >"$WORK/change.raw"
for at in 0 40 400 1500 4000; do
  qemu-io -f qcow2 -c "write -q -s $WORK/change.raw $((at * 1048576 + at * 65)) 4M" "$WORK/change.qcow2" >/dev/null
done
cat "$WORK"/disk.* "$WORK/change.qcow2" >/dev/null

prepare() { rm -rf "$WORK/catalog" "$WORK/out.qcow2"; }
publish() { measure "$1" "$BIN/bench_catalog_publish" "$WORK/catalog" "${@:2}"; }
# The three publishes belong together: each needs the catalog that the one before has made.
run_kiln() {
  publish first "$WORK/disk.vhd" vhd
  publish again "$WORK/disk.qcow2" qcow2
  grep -q '"new_chunks": 0,' "$WORK/again.out" || { echo "tests/bench: publishing again stored chunks" >&2; exit 1; }
  publish changed "$WORK/change.qcow2" qcow2 --below "$WORK/disk.qcow2" qcow2
}
run_they() {
  measure they sh -c 'qemu-img convert -c -W -m 16 -f vpc -O qcow2 -o compression_type=zstd "$1" "$2" && sha256sum "$2"' \
    - "$WORK/disk.vhd" "$WORK/out.qcow2"
}
in_turn kiln they
prepare
unset -f prepare

row "publish a VHD; qemu-img -c zstd -W + sha256sum" "$(median first)" "$(median they)" 2.5 "$(peak first)"
row "publish it again as qcow2; the first publish" "$(median again)" "$(median first)" 3 "$(peak again)"
row "publish after a change of 20 MiB; the first publish" "$(median changed)" "$(median first)" "<=0.15" "$(peak changed)"
rm -f "$WORK"/disk.* "$WORK"/change.*
