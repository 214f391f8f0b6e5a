#!/bin/bash
# A step for a continuous integration service: bakes a pipeline and hands the image on as a file.
#
#   examples/ci/bake.sh PIPELINE IMAGE OUTPUT [NAME=VALUE …]
#
# Needs kiln on the PATH. Give KILN_HOME a folder that the service keeps between runs: what has not changed is then not
# done again. The exit status is kiln's: 1 a stage failed, 2 the pipeline is wrong, 3 refused, 130 cancelled.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '4p' "$0" >&2
  exit 2
fi
pipeline=$1 image=$2 output=$3
shift 3
settings=()
for setting in "$@"; do settings+=(--set "$setting"); done

kiln check "$pipeline" "${settings[@]}"
kiln build "$pipeline" "${settings[@]}"
kiln image verify "$image"
kiln image export "$image" "$output"
kiln image show "$image" --json >"$output.json"
(cd "$(dirname "$output")" && sha256sum "$(basename "$output")" >"$(basename "$output").sha256")
