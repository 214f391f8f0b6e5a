"""The files that the lint tests look at, and how they report. Every check prints "file:line: fact" and exits with 1."""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("core", "formats", "plugins", "tests", "examples")


def files(*suffixes, folders=FOLDERS):
    """Paths relative to the root. Walks the tree: a clone need not have git's history, or git."""
    found = []
    for folder in folders:
        for at, names, entries in os.walk(ROOT / folder):
            names[:] = [n for n in names if n not in ("build", ".git", "__pycache__")]
            found += [pathlib.Path(at, e).relative_to(ROOT) for e in entries if e.endswith(suffixes)]
    return sorted(found)


def sources(folders=FOLDERS):
    return files(".h", ".cpp", folders=folders)


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def lines(path):
    return enumerate(text(path).splitlines(), 1)


def finish(problems, what):
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems in {what}" if problems else f"ok: {what}")
    sys.exit(1 if problems else 0)
