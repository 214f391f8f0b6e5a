#!/bin/bash
# Five Debian images that differ by packages, in kiln's store and as five qcow2 files compressed with zstd. Needs Debian's
# packages: one guest is bootstrapped, and the others are made of it.

export KILN_HOME=$WORK/home
mkdir -p "$WORK/home"
disk=$WORK/debian.qcow2
cat >"$WORK/make.toml" <<END
[pipeline]
name = "bench-guest"
[[stage]]
use  = "bootstrap"
size = "3G"
[[stage]]
use   = "publish"
image = "debian0"
[[stage]]
use    = "write"
format = "qcow2"
file   = "$disk"
END
"$BIN/kiln" build "$WORK/make.toml" >"$WORK/make.out" 2>&1 || { tail -20 "$WORK/make.out" >&2; exit 1; }

sets=("" "git git-man" "nginx-light nginx-common" "vim vim-runtime" "python3-numpy gdb")
for i in 1 2 3 4; do
  mkdir "$WORK/debs$i"
  # shellcheck disable=SC2086
  (cd "$WORK/debs$i" && apt-get -qq download ${sets[$i]})
  cat >"$WORK/variant$i.toml" <<END
[pipeline]
name = "bench-variant"
[[stage]]
use    = "import"
file   = "$disk"
format = "qcow2"
[[stage]]
use     = "customize"
copy_in = [{ source = "$WORK/debs$i", to = "/var/tmp" }]
run     = ["dpkg --unpack --force-depends /var/tmp/debs$i/*.deb", "rm -r /var/tmp/debs$i"]
[[stage]]
use   = "publish"
image = "debian$i"
[[stage]]
use    = "write"
format = "qcow2"
file   = "$WORK/variant$i.qcow2"
END
  "$BIN/kiln" build "$WORK/variant$i.toml" >"$WORK/make.out" 2>&1 || { tail -20 "$WORK/make.out" >&2; exit 1; }
done
cp "$disk" "$WORK/variant0.qcow2"
files=0
for i in 0 1 2 3 4; do
  qemu-img convert -c -W -m 8 -f qcow2 -O qcow2 -o compression_type=zstd "$WORK/variant$i.qcow2" "$WORK/small.qcow2"
  files=$((files + $(stat -c %s "$WORK/small.qcow2")))
done
row_size "five Debian images; as five qcow2 with zstd" "$(bytes_in "$WORK/home/catalog/packs")" "$files" 0.45
unset KILN_HOME
