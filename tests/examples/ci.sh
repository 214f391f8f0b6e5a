#!/bin/bash
# examples/ci/bake.sh on a small disk: image, checksum and record come out, twice the same.
# shellcheck source=tests/examples/lib.sh
. "$(dirname "$0")/lib.sh" "$@"

head -c 3000000 /dev/urandom >"$work/disk.raw"
truncate -s 8M "$work/disk.raw"
cat >"$work/ci.toml" <<'TOML'
[pipeline]
name = "ci"

[vars]
disk = ""

[[stage]]
use    = "import"
file   = "${disk}"
format = "raw"

[[stage]]
use   = "publish"
image = "ci"
TOML

export PATH=$build/bin:$PATH
mkdir "$work/out"
bake() { "$source/examples/ci/bake.sh" "$work/ci.toml" ci "$work/out/$1.qcow2" "disk=$work/disk.raw"; }
bake first
bake second
(cd "$work/out" && sha256sum --check --quiet first.qcow2.sha256 second.qcow2.sha256)
cmp "$work/out/first.qcow2" "$work/out/second.qcow2"
qemu-img compare -q -f qcow2 -F raw "$work/out/first.qcow2" "$work/disk.raw"
expect_in '"ci"' "$(cat "$work/out/first.qcow2.json")"

status=0
"$source/examples/ci/bake.sh" 2>/dev/null || status=$?
[ "$status" = 2 ] || fail "bake.sh without arguments exits with $status"
