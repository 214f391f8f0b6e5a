#!/bin/bash
# A disk of 1 TiB with 230 MiB of data all over it: the memory that it takes, in every format.

"$BIN/bench_disk" "$WORK/disk.raw" 1048576 230 >/dev/null
for at in 200000 500000 900000 1048570; do # and at the far end
  dd if="$WORK/disk.raw" of="$WORK/disk.raw" bs=1M count=4 seek=$at conv=notrunc status=none
done
qemu-img convert -W -m 16 -f raw -O qcow2 "$WORK/disk.raw" "$WORK/disk.qcow2"
rm "$WORK/disk.raw"
last=$WORK/disk.qcow2
for format in qcow2 vhd vhdx vdi vmdk ova; do
  file=$WORK/kiln.$format
  qemu=${format/vhd/vpc}
  qemu=${qemu/vpcx/vhdx}
  options=()
  [ "$format" != vhd ] || options=(-o "subformat=dynamic,force_size=on")
  run_kiln() { measure "kiln.$format" "$BIN/kiln" convert "$last" "$file"; }
  run_they() { measure "they.$format" qemu-img convert -W -m 16 -f qcow2 -O "$qemu" "${options[@]}" "$WORK/disk.qcow2" "$WORK/they"; }
  if [ "$format" = ova ]; then # which qemu-img does not write
    run_they() { measure "they.$format" qemu-img convert -W -m 16 -c -f qcow2 -O vmdk -o subformat=streamOptimized "$WORK/disk.qcow2" "$WORK/they"; }
  fi
  prepare() { rm -f "$file" "$WORK/they"; }
  in_turn kiln they
  unset -f prepare
  row "1 TiB from ${last##*.} to $format; qemu-img -W -m 16" "$(median "kiln.$format")" "$(median "they.$format")" 1 "$(peak "kiln.$format")"
  [ "$last" = "$WORK/disk.qcow2" ] || rm -f "$last"
  last=$file
done
measure back "$BIN/kiln" convert "$last" "$WORK/back.qcow2"
qemu-img compare -q -f qcow2 -F qcow2 "$WORK/disk.qcow2" "$WORK/back.qcow2"
rm -f "$WORK"/*.* "$WORK/they"
