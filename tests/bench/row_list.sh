#!/bin/bash
# `kiln image list` of 10,000 images. The bar is a time, 100 ms; so it stands in the place of the other side.

"$BIN/bench_catalog_list" "$WORK/home/catalog" 10000
export KILN_HOME=$WORK/home
run_list() { measure list "$BIN/kiln" image list; }
in_turn list
unset KILN_HOME
row "kiln image list of 10,000 images; 0.1 s" "$(median list)" 0.1 1 "$(peak list)"
