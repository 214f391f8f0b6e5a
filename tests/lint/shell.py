#!/usr/bin/python3
"""Every shell script parses, and shellcheck has no warning about it."""

import shutil
import subprocess

import tree

problems = []
scripts = []
for path in tree.files("", folders=(*tree.FOLDERS, ".ci")):
    with open(tree.ROOT / path, "rb") as file:
        first = file.readline(64)  # "#!/bin/bash", or "# shellcheck shell=dash" where the file is no program
    if first.startswith((b"#!/bin/bash", b"#!/bin/sh")) or path.suffix == ".sh":
        scripts.append((str(path), "bash" if b"bash" in first else "dash"))
for path, shell in scripts:
    done = subprocess.run([shell, "-n", path], cwd=tree.ROOT, capture_output=True, text=True, check=False)
    problems += done.stderr.splitlines()
    if program := shutil.which("shellcheck"):
        done = subprocess.run([program, "--severity=warning", "--format=gcc", "--external-sources", path],
                              cwd=tree.ROOT, capture_output=True, text=True, check=False)
        problems += done.stdout.splitlines()
tree.finish(problems, f"{len(scripts)} shell scripts")
