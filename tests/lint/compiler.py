#!/usr/bin/python3
"""clang-tidy, with clang's own warnings, over the product's sources. The tests' are g++'s alone to read.

compiler.py BUILD_FOLDER. What passed is remembered in BUILD_FOLDER/lint, under the digest of the source, of all headers
of this tree that it includes, of its flags and of .clang-tidy: a file that nothing touched is not read again.
"""

import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import tree

BUILD = pathlib.Path(sys.argv[1]).resolve()
SEEN = BUILD / "lint"
TOOL = "clang-tidy-14"
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.M)
KEPT = ("-I", "-D", "-std=", "-W", "-isystem", "-f", "-U")
# g++ is the build's compiler: its flags that clang does not know.
EXTRA = ["-Wno-unknown-warning-option", "-Wno-unused-command-line-argument"]


def flags_of(entry):
    words = shlex.split(entry["command"])
    flags = []
    for i, word in enumerate(words):
        if word.startswith(KEPT) and not word.startswith("-fsanitize"):
            flags.append(word)
            if word == "-isystem":
                flags.append(words[i + 1])
    return flags


def headers_of(path, folders, found):
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        for folder in (path.parent, *folders):
            header = (folder / name).resolve()
            if header not in found and header.is_file() and header.is_relative_to(tree.ROOT):
                found.add(header)
                headers_of(header, folders, found)
                break
    return found


def digest_of(source, flags):
    folders = [pathlib.Path(f[2:]) for f in flags if f.startswith("-I")]
    digest = hashlib.sha256("\0".join([TOOL, *flags]).encode())
    for path in [tree.ROOT / ".clang-tidy", source, *sorted(headers_of(source, folders, set()))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def check(entry):
    source = pathlib.Path(entry["file"])
    flags = flags_of(entry) + EXTRA
    mark = SEEN / digest_of(source, flags)
    if mark.exists():
        return []
    command = [TOOL, "--quiet", str(source), "--", *flags]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        mark.touch()
        return []
    found = [l for l in (done.stdout + done.stderr).splitlines() if ": error: " in l or ": warning: " in l]
    prefix = str(tree.ROOT) + "/"
    return sorted({l.replace(prefix, "") for l in found}) or [f"{source}: {TOOL} exited with {done.returncode}"]


def main():
    if shutil.which(TOOL) is None:
        tree.finish([f"{TOOL} is missing: apt-get install clang clang-tidy-14"], "compiler")
    SEEN.mkdir(exist_ok=True)
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    wanted = sys.argv[2:]
    mine = [e for e in entries if pathlib.Path(e["file"]).is_relative_to(tree.ROOT)
            and pathlib.Path(e["file"]).relative_to(tree.ROOT).parts[0] in ("core", "formats", "plugins")
            and (not wanted or any(w in e["file"] for w in wanted))]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = [problem for problems in pool.map(check, mine) for problem in problems]
    tree.finish(list(dict.fromkeys(found)), f"{len(mine)} files, read by clang")


main()
