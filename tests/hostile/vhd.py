"""VHD: Microsoft's "Virtual Hard Disk Image Format Specification". Offsets are those of the footer and the header."""

import struct
import subprocess

from case import MIB, case, cut, field, patch

FOOTER = 512


def checksum(data, at):
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF


def change_footer(path, *changes, copy=True, sign=True):
    """Of a file made by QEMU: its end, and the copy at the start of a dynamic one."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(size - FOOTER)
        footer = bytearray(file.read())
    for offset, form, value in changes:
        struct.pack_into(form, footer, offset, value)
    if sign:
        struct.pack_into(">I", footer, 64, checksum(footer, 64))
    patch(path, (size - FOOTER, bytes(footer)))
    if copy and field(path, 0, "8s") == b"conectix":
        patch(path, (0, bytes(footer)))
    return path


def change_header(path, *changes):
    with open(path, "rb") as file:
        file.seek(512)
        header = bytearray(file.read(1024))
    for offset, form, value in changes:
        struct.pack_into(form, header, offset, value)
    struct.pack_into(">I", header, 36, checksum(header, 36))
    return patch(path, (512, bytes(header)))


def dynamic(place):
    return place.made("disk.vhd", "vpc", "subformat=dynamic,force_size=on")


def fixed(place, name="disk.vhd"):
    return place.made(name, "vpc", "subformat=fixed,force_size=on")


@case("T18")
def vhd_fixed_that_looks_raw(place):
    return fixed(place, "disk.img")


@case("T18")
def vhd_dynamic(place):
    return dynamic(place)


@case("T20", "ParentNeeded")
def vhd_differencing(place):
    return change_footer(dynamic(place), (60, ">I", 4))


@case("T21", "Damaged", "UnsupportedFeature")
def vhd_of_type_99(place):
    return change_footer(dynamic(place), (60, ">I", 99))


@case("T21", "ChecksumMismatch")
def vhd_with_both_checksums_wrong(place):
    return change_footer(dynamic(place), (64, ">I", 1), sign=False)


@case("T21", "Damaged")
def vhd_whose_footers_disagree(place):
    return change_footer(dynamic(place), (48, ">Q", 8 * MIB), copy=False)


@case("T21", "Damaged")
def vhd_size_too_large_for_its_table(place):
    return change_footer(dynamic(place), (48, ">Q", 1 << 40))


@case("T21", "Truncated")
def vhd_fixed_size_beyond_the_file(place):
    return change_footer(fixed(place), (48, ">Q", 64 * MIB))


@case("T17", "InvalidFormatSize", "Damaged")
def vhd_of_8_eib(place):
    return change_footer(dynamic(place), (48, ">Q", 1 << 63))


@case("T17", "InvalidFormatSize", "Damaged")
def vhd_of_no_size(place):
    return change_footer(dynamic(place), (48, ">Q", 0), (56, ">I", 0))


@case("T21", "ChecksumMismatch", "Damaged")
def vhd_header_with_a_wrong_checksum(place):
    return patch(dynamic(place), (512 + 36, ">I", 7))


@case("T21", "Truncated", "Damaged")
def vhd_header_beyond_the_end(place):
    return change_footer(dynamic(place), (16, ">Q", 1 << 40))


@case("T21", "Truncated")
def vhd_table_beyond_the_end(place):
    return change_header(dynamic(place), (16, ">Q", 1 << 40))


for label, value in {"0": 0, "3": 3, "4g": 0xFFFFFFFF}.items():
    case("T21", "Damaged", name=f"vhd-blocks-of-{label}")(
        lambda place, value=value: change_header(dynamic(place), (32, ">I", value))
    )


@case("T21", "Damaged", "Truncated")
def vhd_4g_blocks(place):
    return change_header(dynamic(place), (28, ">I", 0xFFFFFFFF))


def table(path):
    return field(path, 512 + 16, ">Q")


@case("T21", "Overlap")
def vhd_block_on_the_header(place):
    path = dynamic(place)
    return patch(path, (table(path), ">I", 1))


@case("T21", "Overlap")
def vhd_two_blocks_in_one_place(place):
    path = dynamic(place)
    return patch(path, (table(path) + 4, ">I", field(path, table(path), ">I")))


@case("T21", "Truncated")
def vhd_block_beyond_the_end(place):
    path = dynamic(place)
    return patch(path, (table(path), ">I", 0x7FFFFFFF))


@case("T21", "Truncated", "Damaged", "UnknownFormat", "FormatMismatch")
def vhd_cut(place):
    return cut(dynamic(place), -MIB)


@case("T70")
def vhd_of_127_gib_that_is_empty(place):
    path = place.path("large.vhd")
    subprocess.run(["qemu-img", "create", "-q", "-f", "vpc", "-o", "force_size=on", path, "127G"], check=True)
    place.content = None
    return path
