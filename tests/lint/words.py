#!/usr/bin/python3
"""Words that must not be in the tree: loose ends, empty names, one machine's folders, registries' hosts."""

import re

import tree

LOOSE_END = re.compile(r"\b(TODO|FIXME|XXX|HACK|WIP|TBD)\b")
EMPTY_NAME = re.compile(r"\b(class|struct)\s+(\w*(Manager|Helper|Util|Utils|Impl))\b")
FOLDER = re.compile(r"(?<![\w.$}])/(?:work)/")
REGISTRY = re.compile(r"\b(deb|security|archive|snapshot)\.(debian|ubuntu)\.\w+|\bdocker\.io|\bghcr\.io|\bpypi\.org|"
                      r"registry\.npmjs|\bgithub\.io\b")

problems = []
everywhere = tree.files(".h", ".cpp", ".py", ".cmake", ".txt", ".md", ".sh", ".toml", "run",
                        folders=(*tree.FOLDERS, "docs", "pipelines"))
for path in everywhere:
    if path.parts[:2] == ("tests", "lint"):
        continue  # they name what they look for
    for number, line in tree.lines(path):
        for pattern, fact in ((LOOSE_END, "a loose end: finish it or leave it out"),
                              (EMPTY_NAME, "a name that says nothing"),
                              (FOLDER, "a folder of one machine"),
                              (REGISTRY, "a registry's host: take what the host is configured for")):
            if match := pattern.search(line):
                problems.append(f"{path}:{number}: {match.group(0)}: {fact}")
    if path.suffix == ".h" and "#pragma once" not in tree.text(path):
        problems.append(f"{path}:1: no #pragma once")
tree.finish(problems, "words")
