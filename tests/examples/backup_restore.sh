#!/bin/bash
# examples/backup-restore, with the small guest as the server.
# shellcheck source=tests/examples/lib.sh
. "$(dirname "$0")/lib.sh" "$@"

"$source/tests/support/small_guest.sh" "$work/server.qcow2"
KILN=$kiln MEMORY=160M "$source/examples/backup-restore/run" "$work/server.qcow2" | tee "$work/log"
expect_in " of 128.0 MiB written" "$(cat "$work/log")"
expect_in "[Timer]" "$(cat "$work/log")"
expect_in "no instances" "$("$kiln" ps)"
"$kiln" check "$source/examples/backup-restore/server.toml"
