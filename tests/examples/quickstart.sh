#!/bin/bash
# The quickstart, and then: the same bootstrapped disk also starts under UEFI. Needs Debian's packages.
# shellcheck source=tests/examples/lib.sh
. "$(dirname "$0")/lib.sh" "$@"

KILN=$kiln "$source/examples/quickstart/run"
"$kiln" build "$source/tests/examples/uefi.toml"
expect_in "no instances" "$("$kiln" ps)"
