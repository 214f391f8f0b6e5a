#!/usr/bin/python3
"""Documentation that a machine can check. docs.py [KILN]

Every format and plugin has a README; its parameters' table equals what the plugin says of itself (docs.py --write KILN
brings it up to date); commands in Markdown name verbs that kiln has; links lead somewhere.
"""

import re
import subprocess
import sys

import tree

BEGIN, END = "<!-- kiln:params -->", "<!-- /kiln:params -->"
# `kiln VERB` at the start of a line of a code block, or after a prompt.
COMMAND = re.compile(r"^(?:\$ |sudo )?(?:\S*/bin/)?kiln ([a-z]+)\b(?! *=)")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def kiln(program, *args):
    done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def check_readmes(program, write):
    for folder in sorted([*(tree.ROOT / "formats").iterdir(), *(tree.ROOT / "plugins").iterdir()]):
        if not folder.is_dir():
            continue
        readme = folder / "README.md"
        where = readme.relative_to(tree.ROOT)
        if not readme.exists():
            yield f"{where}: there is none"
            continue
        text = readme.read_text(encoding="utf-8")
        if not text.startswith(f"# {folder.name}\n"):
            yield f"{where}:1: does not begin with \"# {folder.name}\""
        if BEGIN not in text or END not in text:
            yield f"{where}: has no {BEGIN} … {END}"
            continue
        # A folder of several plugins describes all of them, which have the same parameters.
        names = re.findall(r"^kiln_add_(?:format|stage)\((\w+)", tree.text(folder.relative_to(tree.ROOT) / "CMakeLists.txt"), re.M)
        tables = {kiln(program, "plugin", "info", name, "--markdown") for name in names} if program else {None}
        table = tables.pop() if len(tables) == 1 else None
        if program and table is None:
            yield f"{where}: kiln plugin info {folder.name} --markdown failed"
        elif program:
            before, rest = text.split(BEGIN, 1)
            _, after = rest.split(END, 1)
            right = f"{before}{BEGIN}\n{table.strip()}\n{END}{after}"
            if write and right != text:
                readme.write_text(right, encoding="utf-8")
            elif right != text:
                line = before.count("\n") + 1
                yield f"{where}:{line}: the table is not what the plugin says: tests/lint/docs.py --write {program}"


def check_commands(program):
    verbs = set(re.findall(r"^ {2}([a-z]+)\b", kiln(program, "--help") or "", re.M))
    for path in tree.files(".md", folders=("docs", "formats", "plugins", "examples", "pipelines", ".")):
        inside = False
        for number, line in tree.lines(path):
            if line.startswith("```"):
                inside = not inside
            elif inside and (match := COMMAND.match(line)) and match.group(1) not in verbs:
                yield f"{path}:{number}: kiln has no verb \"{match.group(1)}\""


def check_links():
    for path in tree.files(".md", folders=("docs", "formats", "plugins", "examples", "pipelines", ".")):
        for number, line in tree.lines(path):
            for target in LINK.findall(line):
                if "://" not in target and not (tree.ROOT / path.parent / target).exists():
                    yield f"{path}:{number}: the link to {target} leads nowhere"


def check_code():
    """A whole plugin shown in the documentation is one of the examples, however its lines are broken."""
    examples = {"".join(tree.text(p).split()) for p in tree.files(".cpp", folders=("examples",))}
    for path in tree.files(".md", folders=("docs", ".")):
        for block in re.findall(r"^```cpp\n(#include <kiln/plugin.h>.*?)^```", tree.text(path), re.M | re.S):
            if "".join(block.split()) not in examples:
                yield f"{path}: the plugin it shows is none of examples/"


arguments = sys.argv[1:]
writing = arguments[:1] == ["--write"]
program_given = arguments[-1] if arguments and arguments[-1] != "--write" else None
problems = list(check_readmes(program_given, writing)) + list(check_links()) + list(check_code())
if program_given:
    problems += check_commands(program_given)
tree.finish(list(dict.fromkeys(problems)), "documentation")
