#!/bin/bash
# The pipeline that the README shows is right, and its C++ is that of examples/hello-stage.
# shellcheck source=tests/examples/lib.sh
. "$(dirname "$0")/lib.sh" "$@"

block() { # language: the first block of it in the README
  awk -v open="\`\`\`$1" '$0 == open { inside = 1; next } inside && /^```/ { exit } inside' "$source/README.md"
}

block toml >"$work/web.toml"
qemu-img create -q -f vpc "$work/vendor.vhd" 8M
ssh-keygen -q -t ed25519 -N '' -f "$work/deploy"
"$kiln" check "$work/web.toml"
diff <(block cpp) "$source/examples/hello-stage/hello.cpp"
"$kiln" check "$source/examples/quickstart/vendor.toml" --set out="$work/out.vhd"
"$kiln" check "$source/examples/quickstart/pipeline.toml" --set vendor_disk="$work/vendor.vhd" \
  --set vendor_sha256="$(sha256sum "$work/vendor.vhd" | cut -d ' ' -f 1)" --set ssh_key="$work/deploy.pub"
