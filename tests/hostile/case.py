"""What a case of the corpus is, and how files are patched. Cases are made when they are needed; none is stored."""

import dataclasses
import pathlib
import struct
import subprocess
from typing import Callable

MIB = 1 << 20


@dataclasses.dataclass
class Case:
    test: str  # the row of the threat list that it comes from: "T01"
    name: str
    make: Callable  # (Place) -> the file to give to kiln
    codes: tuple  # the findings of which it must get one; empty: it must be taken, and read right
    args: tuple = ()
    verb: str = "inspect"  # or convert: what only the whole import reads


CASES: list[Case] = []


def case(test, *codes, name=None, args=(), verb="inspect"):
    def add(make):
        CASES.append(Case(test, name or make.__name__.replace("_", "-"), make, codes, args, verb))
        return make

    return add


class Place:
    """A folder for one case. `canary` lies outside of it and must never be opened."""

    def __init__(self, folder: pathlib.Path, canary: pathlib.Path, shared: pathlib.Path, kiln: str):
        self.folder, self.canary, self.shared, self.kiln = folder, canary, shared, kiln
        self.content = None  # what a case that is taken must read as

    def path(self, name):
        return self.folder / name

    def write(self, name, data):
        path = self.path(name)
        path.write_bytes(data)
        return path

    def disk(self, size=4 * MIB):
        """A disk with data in places, the same each time."""
        data = bytearray(size)
        for at in range(0, size - 65536, 3 * 65536):
            data[at : at + 65536] = bytes((at // 65536 * 7 + i * i // 3) % 251 + 1 for i in range(4096)) * 16
        return bytes(data)

    def made(self, name, fmt, options="", size=4 * MIB):
        """The disk as QEMU writes it in `fmt`, made once for all cases."""
        key = "".join(c if c.isalnum() else "_" for c in f"{fmt}-{options}-{size}")
        kept = self.shared / key
        if not kept.exists():
            raw = self.shared / f"raw-{size}"
            if not raw.exists():
                raw.write_bytes(self.disk(size))
            command = ["qemu-img", "convert", "-f", "raw", "-O", fmt]
            if options:
                command += ["-o", options]
            subprocess.run([*command, raw, kept], check=True, capture_output=True)
        path = self.path(name)
        path.write_bytes(kept.read_bytes())
        self.content = self.disk(size)
        return path


    def written(self, name, options):
        """The disk as kiln itself writes it in the format of the name's ending."""
        raw, path = self.write("raw", self.disk()), self.path(name)
        subprocess.run([self.kiln, "convert", "--from", "raw", *options, raw, path], check=True, capture_output=True)
        raw.unlink()
        self.content = self.disk()
        return path


def patch(path, *changes):
    """Each change: (offset, bytes) or (offset, struct format, value)."""
    with open(path, "r+b") as file:
        for change in changes:
            offset, data = change[0], change[1]
            if len(change) > 2:
                data = struct.pack(change[1], *change[2:])
            file.seek(offset)
            file.write(data)
    return path


def field(path, offset, form):
    with open(path, "rb") as file:
        file.seek(offset)
        return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def cut(path, length):
    """Negative: from the end."""
    with open(path, "r+b") as file:
        file.truncate(length if length >= 0 else path.stat().st_size + length)
    return path
