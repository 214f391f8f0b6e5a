#!/bin/bash
# VHD to qcow2 with the content digest, against qemu-img and a digest of the file. Same input, in the page cache.

"$BIN/bench_disk" "$WORK/disk.raw" >/dev/null
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size=on "$WORK/disk.raw" "$WORK/disk.vhd"
rm "$WORK/disk.raw"
cat "$WORK/disk.vhd" >/dev/null

prepare() { rm -f "$WORK"/out.*.qcow2; }
run_kiln() { measure kiln "$BIN/kiln" convert "$WORK/disk.vhd" "$WORK/out.kiln.qcow2"; }
run_plain() {
  measure plain sh -c 'qemu-img convert -f vpc -O qcow2 "$1" "$2" && sha256sum "$2"' - \
    "$WORK/disk.vhd" "$WORK/out.plain.qcow2"
}
run_strong() {
  measure strong sh -c 'qemu-img convert -W -m 16 -f vpc -O qcow2 "$1" "$2" && openssl dgst -sha256 "$2"' - \
    "$WORK/disk.vhd" "$WORK/out.strong.qcow2"
}
in_turn kiln plain strong

# Speed counts only for the right bytes.
prepare
run_kiln
qemu-img check -q -f qcow2 "$WORK/out.kiln.qcow2"
qemu-img compare -q -f vpc -F qcow2 "$WORK/disk.vhd" "$WORK/out.kiln.qcow2"
prepare
unset -f prepare

row "convert VHD to qcow2; qemu-img + sha256sum" "$(median kiln)" "$(median plain)" 2.5 "$(peak kiln)"
row "convert VHD to qcow2; qemu-img -W -m 16 + openssl" "$(median kiln)" "$(median strong)" 1.4 "$(peak kiln)"
rm -f "$WORK/disk.vhd"
