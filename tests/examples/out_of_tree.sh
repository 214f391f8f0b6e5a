#!/bin/bash
# The stage and the format of examples/ build against an installed kiln, with nothing of this tree, and work in it.
# shellcheck source=tests/examples/lib.sh
. "$(dirname "$0")/lib.sh" "$@"

cmake --install "$build" --prefix "$work/kiln" >"$work/install.log" || fail "$(tail -n 20 "$work/install.log")"
kiln=$work/kiln/bin/kiln
for name in hello-stage hello-format; do
  cp -r "$source/examples/$name" "$work/$name"
  cmake -G Ninja -S "$work/$name" -B "$work/$name/build" -DCMAKE_PREFIX_PATH="$work/kiln" >"$work/$name.log" 2>&1 &&
    cmake --build "$work/$name/build" >>"$work/$name.log" 2>&1 || fail "$(tail -n 30 "$work/$name.log")"
done

stage=$work/hello-stage/build format=$work/hello-format/build
expect_in "Leave a greeting in /etc/motd." "$("$kiln" --plugin-dir "$stage" plugin info hello)"
"$kiln" plugin check "$stage/kiln-stage-hello.so"
"$kiln" plugin check "$format/kiln-format-hello.so"
cat >"$work/hello.toml" <<'TOML'
[pipeline]
name = "hello"

[[stage]]
use  = "import"
file = "disk.raw"

[[stage]]
use  = "hello"
text = "welcome"
TOML
head -c 1000000 /dev/urandom >"$work/disk.raw"
truncate -s 3M "$work/disk.raw"
"$kiln" --plugin-dir "$stage" check "$work/hello.toml"
sed -i 's/^text/txet/' "$work/hello.toml"
status=0
said=$("$kiln" --plugin-dir "$stage" check "$work/hello.toml" 2>&1) || status=$?
[ "$status" = 2 ] || fail "a wrong parameter exits with $status"
expect_in 'did you mean "text"' "$said"

"$kiln" --plugin-dir "$format" convert --from raw "$work/disk.raw" "$work/disk.hello"
expect_in hello "$("$kiln" --plugin-dir "$format" inspect "$work/disk.hello")"
"$kiln" --plugin-dir "$format" convert "$work/disk.hello" "$work/back.raw"
cmp "$work/disk.raw" "$work/back.raw"
