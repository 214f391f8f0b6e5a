#!/bin/bash
# The store beside restic and borg: a first image of 500 MiB of data, and one derived from it by 3 MiB of changes. Then a
# copy of the derived image to another region, beside rsync, and writing it out, beside cp. Input in the page cache.

for program in restic borg rsync; do
  command -v $program >/dev/null || { echo "tests/bench: $program is missing: apt-get install restic borgbackup rsync" >&2; exit 1; }
done
export RESTIC_PASSWORD=bench RESTIC_PROGRESS_FPS=0.1 BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
export RESTIC_CACHE_DIR=$WORK/restic-cache BORG_BASE_DIR=$WORK/borg-base
mkdir "$WORK/disk" "$WORK/west"

"$BIN/bench_disk" "$WORK/base.raw" 2048 500 >/dev/null
cp --sparse=always "$WORK/base.raw" "$WORK/changed.raw"
qemu-img create -q -f qcow2 -F raw -b "$WORK/base.raw" "$WORK/overlay.qcow2"
"$BIN/bench_disk" "$WORK/fresh.raw" 64 9 7 >/dev/null
for i in 0 13 14; do # a third of it random, too
  dd if="$WORK/fresh.raw" bs=1M skip=$i count=1 status=none >>"$WORK/change"
done
for i in 0 1 2; do
  at=$(((17 + 400 * i) * 1048576 + 20480)) # at a block of a guest's file system, which need not be a chunk of ours
  dd if="$WORK/change" of="$WORK/changed.raw" bs=1M skip=$i count=1 seek=$at oflag=seek_bytes conv=notrunc status=none
  dd if="$WORK/change" of="$WORK/piece" bs=1M skip=$i count=1 status=none
  qemu-io -f qcow2 -c "write -q -s $WORK/piece $at 1M" "$WORK/overlay.qcow2" >/dev/null
done
zstd -q -3 -f "$WORK/change" -o "$WORK/change.zst"
change=$(stat -c %s "$WORK/change.zst")
cat "$WORK"/*.raw "$WORK/overlay.qcow2" >/dev/null

disk() { ln -f "$WORK/$1.raw" "$WORK/disk/disk.raw"; }
publish() { measure "$1" "$BIN/bench_catalog_publish" "$WORK/home/catalog" "${@:2}"; }
backup_restic() { measure "$1" restic -q -r "$WORK/restic" backup "$WORK/disk/disk.raw"; }
# A disk needs no chunks of varying length: of a fixed one, with the holes left out, is where borg is fastest.
backup_borg() { measure "$1" borg create -C zstd,1 --sparse --chunker-params fixed,65536 "$WORK/borg::$1" "$WORK/disk/disk.raw"; }
import() { measure "$1" env KILN_HOME="$WORK/home" "$BIN/kiln" import "$2" --format raw --name bench; }

prepare() { "prepare_$phase"; }
stores="home restic borg restic-cache borg-base"

# --- the first image
phase=first
prepare_first() {
  for store in $stores; do rm -rf "${WORK:?}/$store"; done
  restic -q -r "$WORK/restic" init >/dev/null
  borg init -e none "$WORK/borg"
  disk base
}
run_kiln() { import kiln_first "$WORK/base.raw"; }
run_restic() { backup_restic "restic_$phase"; }
run_borg() { backup_borg "borg_$phase"; }
in_turn kiln restic borg
# What in_turn left is the last one's store only: one of each for what follows.
prepare
publish base "$WORK/base.raw" raw
backup_restic restic_base
backup_borg borg_base
first=$(bytes_in "$WORK/home/catalog")
row "first image; restic backup" "$(median kiln_first)" "$(median restic_first)" 1.5 "$(peak kiln_first)"
row "first image; borg create" "$(median kiln_first)" "$(median borg_first)" 1.5 ""
row_size "space of the first image; restic" "$first" "$(bytes_in "$WORK/restic")" 1.15
row_size "space of the first image; borg" "$first" "$(bytes_in "$WORK/borg")" 1.15

# --- the derived one, each time into stores that hold the base alone
disk changed
for store in $stores; do cp -a "$WORK/$store" "$WORK/kept-$store"; done
phase=derived
prepare_derived() {
  for store in $stores; do
    rm -rf "${WORK:?}/$store"
    cp -a "$WORK/kept-$store" "$WORK/$store"
  done
}
run_derived() { publish derived "$WORK/overlay.qcow2" qcow2 --below "$WORK/base.raw" raw; }
run_foreign() { import foreign "$WORK/changed.raw"; }
in_turn derived foreign restic borg
best=$(least "$(median restic_derived)" "$(median borg_derived)")
row "derived image, built by kiln; best of restic, borg" "$(median derived)" "$best" 10 "$(peak derived)"
row "the same disk as a foreign file; best of both" "$(median foreign)" "$best" 1.5 "$(peak foreign)"
prepare
before=$(bytes_in "$WORK/home/catalog/packs")
run_derived
row_size "new bytes of the derived image; its change, zstd -3" $(($(bytes_in "$WORK/home/catalog/packs") - before)) "$change" 1.15

# --- a copy of the derived image to a region that has the base
export KILN_HOME=$WORK/home
printf '[region.west]\nfolder = "%s"\n' "$WORK/west" >"$WORK/home/config.toml"
version=$("$BIN/kiln" image list --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["images"][-1]["version"])')
"$BIN/kiln" image copy "bench:$version" --to west >/dev/null
cp -a "$WORK/west" "$WORK/kept-west"
qemu-img convert -f raw -O qcow2 "$WORK/base.raw" "$WORK/there.kept"
qemu-img convert -f raw -O qcow2 "$WORK/changed.raw" "$WORK/here.qcow2"
phase=copy
prepare_copy() {
  rm -rf "$WORK/west"
  cp -a "$WORK/kept-west" "$WORK/west"
  cp "$WORK/there.kept" "$WORK/there.qcow2"
}
run_copy() { measure copy "$BIN/kiln" image copy bench --to west --json; }
run_rsync() { measure rsync rsync --inplace --no-whole-file "$WORK/here.qcow2" "$WORK/there.qcow2"; }
in_turn copy rsync
row "copy to a region that has the base; rsync --inplace" "$(median copy)" "$(median rsync)" 5 "$(peak copy)"
prepare
run_copy
moved=$(tail -1 "$WORK/copy.out" | python3 -c 'import json,sys; print(json.load(sys.stdin)["copies"][0]["bytes_moved"])')
row_size "bytes moved by the copy; the change, zstd -3" "$moved" "$change" 1.2

# --- writing it out: from the page cache; and from the disk to the disk, as the first launch of an image on a host has it
run_export() { measure export "$BIN/kiln" image export bench "$WORK/out.raw" --format raw; }
run_cp() { measure cp cp "$WORK/changed.raw" "$WORK/out.raw"; }
phase=written
prepare_written() { rm -f "$WORK/out.raw"; }
in_turn export cp
row "write an image out; cp of the same bytes" "$(median export)" "$(median cp)" 0.8 "$(peak export)"
# shellcheck disable=SC2016
run_export_cold() {
  measure export_cold bash -c '"$@" && sync "$0"' "$WORK/out.raw" "$BIN/kiln" image export bench "$WORK/out.raw" --format raw
}
# shellcheck disable=SC2016
run_cp_cold() { measure cp_cold bash -c '"$@" && sync "$0"' "$WORK/out.raw" cp "$WORK/changed.raw" "$WORK/out.raw"; }
phase=written_cold
prepare_written_cold() {
  rm -f "$WORK/out.raw"
  sync
  for file in "$WORK/changed.raw" "$WORK"/home/catalog/packs/*; do
    dd if="$file" iflag=nocache count=0 status=none # out of the page cache
  done
}
in_turn export_cold cp_cold
unset -f prepare
row "the same, from the disk to the disk" "$(median export_cold)" "$(median cp_cold)" 0.8 "$(peak export_cold)"
unset KILN_HOME
