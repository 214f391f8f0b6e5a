#!/bin/bash
# Compressed outputs: how long they take and how large they are, beside qemu-img's of the same type. Same input, in the
# page cache.

"$BIN/bench_disk" "$WORK/disk.raw" 2048 460 >/dev/null
cat "$WORK/disk.raw" >/dev/null

# to NAME ENDING KILN-OPTION QEMU-OPTION
to() {
  local kind=$1 ending=$2 ours=$3 theirs=$4
  local kiln=$WORK/kiln.$ending they=$WORK/they.$ending
  prepare() { rm -f "$kiln" "$they"; }
  run_kiln() { measure "kiln.$kind" "$BIN/kiln" convert --from raw "$WORK/disk.raw" "$kiln" -o "$ours"; }
  run_they() {
    measure "they.$kind" qemu-img convert -c -W -m 16 -f raw -O "$ending" -o "$theirs" "$WORK/disk.raw" "$they"
  }
  in_turn kiln they
  prepare
  unset -f prepare
  run_kiln
  run_they
  qemu-img compare -q -f raw -F "$ending" "$WORK/disk.raw" "$kiln"
  row "to $kind; qemu-img -c -W -m 16" "$(median "kiln.$kind")" "$(median "they.$kind")" 2 "$(peak "kiln.$kind")"
  row_size "size of that $kind; qemu-img's" "$(stat -c %s "$kiln")" "$(stat -c %s "$they")" 1.03
  rm -f "$kiln" "$they"
}

to qcow2-zlib qcow2 compression=zlib compression_type=zlib
to qcow2-zstd qcow2 compression=zstd compression_type=zstd
to vmdk-streamOptimized vmdk subformat=streamOptimized subformat=streamOptimized
rm -f "$WORK/disk.raw"
