"""What looks like no container, or like two of them; names and things that are no files."""

import os
import socket
import struct

from case import MIB, case, patch

GPT = b"EFI PART"


def with_mbr(data):
    data = bytearray(data)
    entry = struct.pack("<BBBBBBBBII", 0x80, 0, 2, 0, 0x83, 0, 0, 0, 2048, 4096)
    data[446:510] = entry.ljust(64, b"\0")
    data[510:512] = b"\x55\xaa"
    return bytes(data)


@case("T34")
def raw_with_a_partition_table(place):
    place.content = with_mbr(place.disk())
    return place.write("disk.raw", place.content)


@case("T34", args=("--format", "raw"))
def raw_of_an_odd_size_that_is_forced(place):
    place.content = with_mbr(place.disk())[: MIB + 77]
    return place.write("disk.raw", place.content)


for label, data in {
    "random": lambda place: os.urandom(MIB),
    "zeros": lambda place: bytes(MIB),
    "elf": lambda place: b"\x7fELF".ljust(MIB, b"\1"),
    "text": lambda place: b"hello\n" * 10000,
}.items():
    case("T34", "UnknownFormat", name=f"raw-of-{label}")(lambda place, data=data: place.write("disk.raw", data(place)))


@case("T34", "InvalidFormatSize", "UnknownFormat")
def raw_of_no_bytes(place):
    return place.write("disk.raw", b"")


@case("T05", "UnknownFormat", "Encrypted")
def raw_that_is_luks(place):
    return place.write("disk.raw", b"LUKS\xba\xbe\0\1".ljust(2 * MIB, b"\0"))


@case("T05", "FormatMismatch", args=("--format", "qcow2"))
def vhd_that_is_said_to_be_qcow2(place):
    return place.made("disk.vhd", "vpc", "force_size=on")


@case("T05", "FormatMismatch", args=("--format", "vhd"))
def qcow2_that_is_said_to_be_vhd(place):
    return place.made("disk.qcow2", "qcow2")


@case("T05", "UnsupportedFeature", "UnknownFormat")
def qcow_version_1(place):
    return place.made("disk.qcow", "qcow")


POLYGLOT = ("AmbiguousFormat",)


@case("T35", *POLYGLOT)
def qcow2_and_mbr(place):
    return patch(place.made("disk.qcow2", "qcow2"), (510, b"\x55\xaa"))


@case("T35", *POLYGLOT)
def qcow2_and_gpt(place):
    return patch(place.made("disk.qcow2", "qcow2"), (512, GPT))


@case("T35", *POLYGLOT)
def qcow2_and_iso(place):
    return patch(place.made("disk.qcow2", "qcow2"), (32769, b"CD001"))


@case("T35", *POLYGLOT)
def qcow2_and_a_vhd_footer(place):
    path = place.made("disk.qcow2", "qcow2")
    footer = place.made("disk.vhd", "vpc", "subformat=fixed,force_size=on")
    with open(path, "ab") as file:
        file.write(footer.read_bytes()[-512:])
    footer.unlink()
    return path


@case("T35", *POLYGLOT)
def vdi_and_qcow2(place):
    return patch(place.made("disk.vdi", "vdi"), (0, b"QFI\xfb\0\0\0\3"))


@case("T35", *POLYGLOT)
def vdi_and_vmdk(place):
    return patch(place.made("disk.vdi", "vdi"), (0, b"# Disk DescriptorFile\n"))


NAMES = {
    "nbd": "nbd:127.0.0.1:47012",
    "json": 'json:{"driver":"null-co"}',
    "option": "-O",
    "help": "--help",
    "newline": "a\nb",
    "quotes": "a\"b'c",
    "right-to-left": "a\u202egnp.exe",
    "long": "x" * 250,
    "percent": "%s%n%d",
    "spaces": "  ",
}
for label, text in NAMES.items():
    case("T48", name=f"name-{label}")(lambda place, text=text: place.made(text, "qcow2"))


@case("T48")
def name_that_is_no_utf_8(place):
    return place.made(os.fsdecode(b"a\xff\xfeb"), "qcow2")


@case("T49", "NotAFile")
def pipe_for_a_file(place):
    os.mkfifo(place.path("disk"))
    return place.path("disk")


@case("T49", "NotAFile")
def folder_for_a_file(place):
    place.path("disk").mkdir()
    return place.path("disk")


@case("T49", "NotAFile")
def socket_for_a_file(place):
    path = place.path("s")
    here = os.getcwd()
    os.chdir(place.folder)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("s")
    os.chdir(here)
    listener.close()
    return path


@case("T49", "NotAFile")
def device_for_a_file(place):
    path = place.path("disk")
    path.symlink_to("/dev/zero")
    return path
