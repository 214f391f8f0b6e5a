#!/usr/bin/python3
"""Who may include whom, where each third party lives, and who may write to the terminal. docs/architecture.md."""

import re

import tree

# A module may include those of lower levels only, so that siblings never know each other.
LEVEL = {"sdk": 0, "process": 1, "qmp": 1, "s3": 1, "disk": 2, "guest": 2, "nbd": 3, "engine": 4, "catalog": 4, "machine": 4,
         "libvirt": 5, "cli": 6}

# Third parties and the only places that may include them. A prefix of the included name → prefixes of paths.
CONFINED = {
    "toml++/": ["core/engine/", "plugins/preflight/"],
    "boost/dll": ["core/engine/"],
    "boost/crc": ["formats/vhdx/"],
    "boost/process": ["core/process/"],
    "boost/asio": ["core/process/"],
    "seccomp.h": ["core/process/"],
    "guestfs.h": ["core/guest/"],
    "libnbd.h": ["core/nbd/", "plugins/import/"],
    "soci/": ["core/catalog/", "tests/catalog/"],
    "sqlite3.h": ["core/catalog/"],
    "libpq": ["core/catalog/"],
    "CLI/": ["core/cli/"],
    "openssl/": ["core/sdk/", "core/qmp/base64.cpp", "core/disk/", "core/catalog/"],
    "zstd": ["core/catalog/", "formats/", "plugins/import/"],
    "zlib.h": ["formats/", "plugins/import/"],
    "bzlib.h": ["plugins/import/"],
    "lzma.h": ["plugins/import/"],
    "libdeflate.h": ["formats/"],
    "curl/": ["core/s3/", "plugins/import/"],
    "libvirt/libvirt.h": ["core/libvirt/"],
    "libvirt/virterror.h": ["core/libvirt/"],
    "pugixml": ["core/s3/", "core/libvirt/", "formats/ova/", "plugins/import/"],
    "nlohmann/": ["core/", "formats/", "plugins/"],
    "fmt/": ["core/", "formats/", "plugins/"],
    "spdlog/": ["core/"],
    "archive": ["core/machine/", "formats/ova/", "plugins/import/", "plugins/preflight/"],
    "png.h": ["core/machine/"],
    "crypt.h": ["plugins/customize/"],
    "gtest/": ["tests/"],
    "gmock/": ["tests/"],
    "rapidcheck": ["tests/"],
    "benchmark/": ["tests/bench/"],
}
# Public headers are the standard library's only: a plugin must not depend on what kiln happens to use.
SDK_HEADERS = "core/include/kiln/"
SYSTEM = re.compile(r"^(sys|linux|arpa|netinet|netdb|unistd|fcntl|fts|poll|pwd|grp|spawn|signal|termios|elf|byteswap|dlfcn|pthread|pty|sched)\b")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
TERMINAL = re.compile(r"std::c(out|err|log)\b|\bstd::print|\bfmt::print|\b(std::)?(printf|puts|putchar|perror)\(|"
                      r"\bfprintf\(|STDOUT_FILENO|STDERR_FILENO")


def module_of(path):
    parts = path.parts
    return parts[1] if parts[0] == "core" and len(parts) > 2 else None


def included(path, bracket, name):
    """Why this file may not include that; None when it may."""
    where = str(path)
    if name.startswith("kiln/"):
        return None
    for third, homes in CONFINED.items():
        if name.startswith(third):
            if where.startswith(SDK_HEADERS):
                return f"public headers include the standard library only, not {name}"
            if not any(where.startswith(h) for h in homes) and not where.startswith("tests/"):
                return f"{name} is confined to {', '.join(homes)}"
            return None
    if "/" in name and name.split("/")[0] in LEVEL and bracket == '"':
        return included_module(path, name)
    if where.startswith(SDK_HEADERS) and (bracket == '"' or "." in name):
        return f"public headers include <kiln/…> and the standard library only, not {name}"
    if bracket == "<" and "." in name and not SYSTEM.match(name):
        return f"{name} is in no list of tests/lint/include_rules.py: say there where it may be used"
    return None


def included_module(path, name):
    other = name.split("/")[0]
    if path.parts[0] in ("formats", "plugins", "examples"):
        return f"a plugin includes <kiln/…> only, not {name}"
    me = module_of(path)
    if me is None or me == other or LEVEL.get(me, -1) > LEVEL[other]:
        return None
    return f"{me} must not include {other}: it is not below it"


def terminal_is_theirs(where):
    return where.startswith("core/cli/") or where.startswith("tests/") or "observer" in where


problems = []
for path in tree.sources():
    for number, line in tree.lines(path):
        if match := INCLUDE.match(line):
            if why := included(path, *match.groups()):
                problems.append(f"{path}:{number}: {why}")
        elif not terminal_is_theirs(str(path)) and TERMINAL.search(line.split("//")[0]) and "NOLINT" not in line:
            problems.append(f"{path}:{number}: only the observers and the command line write to the terminal")
tree.finish(problems, "include rules")
