# shellcheck shell=bash disable=SC2034
# Sourced by the tests of this folder: $source, $build, $kiln, and a folder $work that is removed at the end.
set -euo pipefail
source=$1
build=$2
kiln=$build/bin/kiln
work=$(mktemp -d "${TMPDIR:-/tmp}/kiln-test-XXXXXX")
chmod 0711 "$work" # mmdebstrap without root walks through it as another user
export KILN_HOME=$work/home TMPDIR=$work
unset KILN_PLUGIN_PATH
trap 'rm -rf "$work"' EXIT

fail() { printf 'FAILED: %s\n' "$*" >&2 && exit 1; }
expect_in() { grep -qF -- "$1" <<<"$2" || fail "no \"$1\" in: $2"; }
