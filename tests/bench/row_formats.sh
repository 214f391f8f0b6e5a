#!/bin/bash
# Each format to qcow2 with the content digest, against qemu-img and a digest of the file; where the source is compressed,
# against qemu-img alone. The same disk in each, in the page cache.

"$BIN/bench_disk" "$WORK/disk.raw" 2048 460 >/dev/null

# from NAME QEMU-FORMAT BAR [QEMU-IMG OPTION…]: what kiln and qemu-img make of such a file.
from() {
  local kind=$1 format=$2 bar=$3 file=$WORK/disk.$1 forced=() against="qemu-img -W -m 16"
  shift 3
  if [ "$format" = raw ]; then
    file=$WORK/disk.raw
    forced=(--from raw)
  else
    qemu-img convert -W -m 16 -f raw -O "$format" "$@" "$WORK/disk.raw" "$file"
  fi
  cat "$file" >/dev/null
  prepare() { rm -f "$WORK"/out.*.qcow2; }
  run_kiln() { measure "kiln.$kind" "$BIN/kiln" convert "${forced[@]}" "$file" "$WORK/out.kiln.qcow2"; }
  run_they() { measure "they.$kind" qemu-img convert -W -m 16 -f "$format" -O qcow2 "$file" "$WORK/out.they.qcow2"; }
  if [ "$bar" = 1.4 ]; then
    against="qemu-img -W -m 16 + openssl"
    # shellcheck disable=SC2016
    run_they() {
      measure "they.$kind" sh -c 'qemu-img convert -W -m 16 -f "$1" -O qcow2 "$2" "$3" && openssl dgst -sha256 "$3"' - \
        "$format" "$file" "$WORK/out.they.qcow2"
    }
  fi
  in_turn kiln they
  prepare
  run_kiln # speed counts only for the right bytes
  qemu-img compare -q -f raw -F qcow2 "$WORK/disk.raw" "$WORK/out.kiln.qcow2"
  prepare
  unset -f prepare
  row "$kind to qcow2; $against" "$(median "kiln.$kind")" "$(median "they.$kind")" "$bar" "$(peak "kiln.$kind")"
  [ "$format" = raw ] || rm -f "$file"
}

from raw raw 1.4
from vhd-dynamic vpc 1.4 -o subformat=dynamic,force_size=on
from vhd-fixed vpc 1.4 -o subformat=fixed,force_size=on
from vhdx-dynamic vhdx 1.4 -o subformat=dynamic
from vdi vdi 1.4
from vmdk-monolithicSparse vmdk 1.4 -o subformat=monolithicSparse
from qcow2 qcow2 1.4
from vmdk-streamOptimized vmdk 1.5 -o subformat=streamOptimized
from qcow2-zlib qcow2 1.5 -c -o compression_type=zlib
from qcow2-zstd qcow2 1.5 -c -o compression_type=zstd
rm -f "$WORK"/disk.*
