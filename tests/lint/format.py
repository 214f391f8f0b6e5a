#!/usr/bin/python3
"""Every source is formatted as .clang-format says."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import tree

program = shutil.which("clang-format-14")
if program is None:
    tree.finish(["clang-format-14 is missing: apt-get install clang-format-14"], "format")
sources = [str(p) for p in tree.sources()]
parts = [sources[i::os.cpu_count()] for i in range(os.cpu_count()) if sources[i::os.cpu_count()]]


def check(part):
    done = subprocess.run([program, "--dry-run", "--Werror", "--style=file", *part], cwd=tree.ROOT,
                          capture_output=True, text=True, check=False)
    return sorted({line.split(": error")[0] for line in done.stderr.splitlines() if ": error: " in line})


with ThreadPoolExecutor() as pool:
    places = [place for found in pool.map(check, parts) for place in found]
worst = {place.split(":")[0]: place for place in reversed(places)}
tree.finish([f"{place}: not formatted: clang-format-14 -i {name}" for name, place in sorted(worst.items())],
            "format")
