#!/bin/bash
# A disk of 1 TiB with 230 MiB of data: the memory that it takes, from one format into the next. Once each.

"$BIN/bench_disk" "$WORK/disk.raw" 1048576 230 >/dev/null
for at in 200000 500000 900000 1048570; do # all over it
  dd if="$WORK/disk.raw" of="$WORK/disk.raw" bs=1M count=4 seek=$at conv=notrunc status=none
done
qemu-img convert -W -m 16 -f raw -O qcow2 "$WORK/disk.raw" "$WORK/disk.qcow2"
rm "$WORK/disk.raw"
last=$WORK/disk.qcow2
for format in qcow2 vhd vhdx vdi vmdk ova qcow2-zstd; do
  file=$WORK/kiln-$format.${format%-zstd}
  options=()
  [ "$format" = "${format%-zstd}" ] || options=(-o compression=zstd)
  measure "$format" "$BIN/kiln" convert "$last" "$file" "${options[@]}"
  row_size "memory for 1 TiB from ${last##*.} to $format; the limit" $(($(peak "$format") * 1048576)) 209715200 1
  [ "$last" = "$WORK/disk.qcow2" ] || rm -f "$last"
  last=$file
done
qemu-img compare -q -f qcow2 -F qcow2 "$WORK/disk.qcow2" "$last"
rm -f "$WORK"/*.qcow2
