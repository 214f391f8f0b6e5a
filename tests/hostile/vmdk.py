"""VMDK: VMware's "Virtual Disk Format 5.0". Offsets are those of the header of a sparse extent (KDMV)."""

import os
import struct
import zlib

from case import MIB, case, cut, field, patch

CAPACITY, GRAIN, DESCRIPTOR_AT, DESCRIPTOR_SIZE, ENTRIES, RGD, GD, OVERHEAD = 12, 20, 28, 36, 44, 48, 56, 64
END_OF_LINE = 73
SECTOR = 512


def sparse(place):
    return place.made("disk.vmdk", "vmdk", "subformat=monolithicSparse")


def stream(place):
    return place.made("disk.vmdk", "vmdk", "subformat=streamOptimized")


def embedded(path, text):
    """Puts another descriptor into a sparse file."""
    at, size = field(path, DESCRIPTOR_AT, "<Q") * SECTOR, field(path, DESCRIPTOR_SIZE, "<Q") * SECTOR
    return patch(path, (at, text.encode().ljust(size, b"\0")[:size]))


def descriptor(extents, kind="monolithicFlat", more=""):
    return (
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        f'createType="{kind}"\n\n# Extent description\n{extents}\n\n# The Disk Data Base\n#DDB\n\n'
        'ddb.virtualHWVersion = "4"\nddb.geometry.cylinders = "8"\nddb.geometry.heads = "16"\n'
        f'ddb.geometry.sectors = "63"\nddb.adapterType = "ide"\n{more}'
    )


def lone(place, extents, kind="monolithicFlat", more=""):
    """A descriptor beside a flat file of 4 MiB."""
    place.write("flat.bin", place.disk())
    place.content = place.disk()
    return place.write("disk.vmdk", descriptor(extents, kind, more).encode())


GOOD = 'RW 8192 FLAT "flat.bin" 0'
EXTERNAL = ("ExternalExtent",)
STRICT = ("ExternalExtent", "Damaged", "UnsupportedFeature")


@case("T31")
def vmdk_flat_beside_its_descriptor(place):
    return lone(place, GOOD)


@case("T31")
def vmdk_monolithic_sparse(place):
    return sparse(place)


@case("T30")
def vmdk_stream_optimized(place):
    return stream(place)


@case("T25", "ExternalExtent", "Damaged", "InvalidFormatSize")
def vmdk_sparse_without_capacity(place):
    path = patch(sparse(place), (CAPACITY, "<Q", 0))
    return embedded(path, descriptor(f'RW 8192 FLAT "{place.canary}" 0'))


for label, name in {
    "absolute": lambda p: str(p.canary),
    "relative": lambda p: "../../canary",
    "in-a-folder": lambda p: "sub/flat.bin",
    "itself": lambda p: "disk.vmdk",
    "json": lambda p: f'json:{{"driver":"file","filename":"{p.canary}"}}',
    "nbd": lambda p: "nbd:127.0.0.1:10809",
    "dots": lambda p: "..",
    "empty": lambda p: "",
}.items():
    case("T26", *STRICT, name=f"vmdk-extent-{label}")(
        lambda place, name=name: lone(place, f'RW 8192 FLAT "{name(place)}" 0')
    )


def linked(place, make):
    path = lone(place, 'RW 8192 FLAT "other.bin" 0')
    make(place.path("other.bin"))
    return path


@case("T26", *EXTERNAL, "NotAFile")
def vmdk_extent_that_is_a_link(place):
    return linked(place, lambda path: path.symlink_to(place.canary))


@case("T26", *EXTERNAL, "NotAFile")
def vmdk_extent_that_is_a_pipe(place):
    return linked(place, os.mkfifo)


@case("T26", *EXTERNAL, "NotAFile")
def vmdk_extent_that_is_a_folder(place):
    return linked(place, lambda path: path.mkdir())


@case("T31", *EXTERNAL, "Truncated")
def vmdk_extent_that_is_missing(place):
    return lone(place, 'RW 8192 FLAT "missing.bin" 0')


for label, extents in {
    "split-lines": 'RW 8192\nFLAT "flat.bin" 0',
    "no-name": "RW 8192 FLAT",
    "unknown-type": 'RW 8192 MAGIC "flat.bin" 0',
    "negative-size": 'RW -8192 FLAT "flat.bin" 0',
    "twice": GOOD + "\n" + GOOD,
    "offset-beyond": 'RW 8192 FLAT "flat.bin" 8192',
    "larger-than-its-file": 'RW 819200 FLAT "flat.bin" 0',
    "device": 'RW 8192 FLAT "/dev/sda" 0',
    "rdm": 'RW 8192 VMFSRDM "flat.bin"',
    "none": "",
    "trailing-words": GOOD + " and more",
}.items():
    case("T26", *STRICT, "Truncated", "Overlap", "InvalidFormatSize", name=f"vmdk-extents-{label}")(
        lambda place, extents=extents: lone(place, extents)
    )


@case("T26", *STRICT)
def vmdk_two_create_types(place):
    return lone(place, GOOD, more='createType="monolithicSparse"\n')


@case("T26", *STRICT)
def vmdk_create_type_unknown(place):
    return lone(place, GOOD, kind="custom")


@case("T26", *STRICT)
def vmdk_device_of_the_host(place):
    return lone(place, 'RW 8192 FLAT "flat.bin" 0', kind="fullDevice")


@case("T28", "ParentNeeded")
def vmdk_with_a_parent_hint(place):
    return lone(place, GOOD, more='parentFileNameHint="base.vmdk"\n')


@case("T28", "ParentNeeded")
def vmdk_with_a_parent_cid(place):
    path = lone(place, GOOD)
    path.write_text(path.read_text().replace("parentCID=ffffffff", "parentCID=01234567"))
    return path


@case("T28")
def vmdk_with_parent_uuids_of_virtualbox(place):
    zeros = "00000000-0000-0000-0000-000000000000"
    return lone(place, GOOD, more=f'ddb.uuid.parent="{zeros}"\nddb.uuid.parentmodification="{zeros}"\n')


@case("T29")
def vmdk_that_was_renamed(place):
    path = sparse(place)
    return path.rename(place.path("renamed.vmdk"))


@case("T27", "Damaged")
def vmdk_footer_unlike_its_header(place):
    path = place.written("disk.vmdk", ["-o", "subformat=streamOptimized"])
    return patch(path, (path.stat().st_size - 1024 + CAPACITY, "<Q", 4096))


@case("T30")
def vmdk_stream_of_kiln(place):
    return place.written("disk.vmdk", ["-o", "subformat=streamOptimized"])


@case("T30", "Damaged", "Truncated", verb="convert")
def vmdk_stream_cut(place):
    return cut(stream(place), -80000)


def first_grain(path):
    """Of a stream: the offset of its first grain's marker."""
    at = field(path, OVERHEAD, "<Q") * SECTOR
    while field(path, at + 8, "<I") == 0:
        at += SECTOR + field(path, at, "<Q") * SECTOR
    return at


@case("T30", "Damaged", verb="convert")
def vmdk_stream_with_another_grain_s_marker(place):
    path = stream(place)
    return patch(path, (first_grain(path), "<Q", 77 * 128))


@case("T30", "Damaged", verb="convert")
def vmdk_stream_with_bad_deflate(place):
    path = stream(place)
    return patch(path, (first_grain(path) + 12 + 4, b"\xff" * 64))


@case("T30", "Damaged", verb="convert")
def vmdk_stream_whose_grain_is_too_short(place):
    path = stream(place)
    at = first_grain(path)
    packed = zlib.compress(b"x" * 1000)
    return patch(path, (at + 8, "<I", len(packed)), (at + 12, packed))


@case("T30", "Damaged", "Truncated", "Overlap", verb="convert")
def vmdk_stream_whose_grain_says_4g(place):
    path = stream(place)
    return patch(path, (first_grain(path) + 8, "<I", 0xFFFFFFFF))


@case("T32", *STRICT)
def vmdk_without_extents_in_its_header(place):
    return embedded(sparse(place), descriptor("", "monolithicSparse"))


@case("T31", "Damaged", "ExternalExtent", "UnsupportedFeature", "Truncated", "FormatMismatch")
def vmdk_lone_part_of_a_split_disk(place):
    path = sparse(place)
    return patch(path, (DESCRIPTOR_AT, "<Q", 0), (DESCRIPTOR_SIZE, "<Q", 0)).rename(place.path("disk-s001.vmdk"))


@case("T31", "UnsupportedFeature", "UnknownFormat", "FormatMismatch")
def vmdk_se_sparse(place):
    return place.write("disk.vmdk", struct.pack("<Q", 0xCAFEBABE).ljust(MIB, b"\0"))


@case("T25", "Damaged")
def vmdk_sent_in_text_mode(place):
    return patch(sparse(place), (END_OF_LINE, b"\n\n\n\n"))


for label, change in {
    "grains-of-0": (GRAIN, "<Q", 0),
    "grains-of-3": (GRAIN, "<Q", 3),
    "grains-of-2-to-the-60": (GRAIN, "<Q", 1 << 60),
    "tables-of-0": (ENTRIES, "<I", 0),
    "tables-of-4g": (ENTRIES, "<I", 0xFFFFFFFF),
    "directory-beyond-the-end": (GD, "<Q", 1 << 40),
    "directory-on-the-header": (GD, "<Q", 0),
    "capacity-of-2-to-the-62": (CAPACITY, "<Q", 1 << 62),
    "version-9": (4, "<I", 9),
    "unknown-compression": (77, "<H", 9),
    "descriptor-beyond-the-end": (DESCRIPTOR_AT, "<Q", 1 << 40),
    "descriptor-of-4g": (DESCRIPTOR_SIZE, "<Q", 1 << 23),
}.items():
    codes = ("Damaged", "Truncated", "Overlap", "InvalidFormatSize", "UnsupportedFeature")
    case("T25", *codes, name=f"vmdk-{label}")(lambda place, change=change: patch(sparse(place), change))


def grain(place, value):
    path = sparse(place)
    tables = [field(path, field(path, directory, "<Q") * SECTOR, "<I") * SECTOR for directory in (GD, RGD)]
    return patch(path, *((table, "<I", value(path, table)) for table in tables))


for label, codes, value in (
    ("beyond-the-end", ("Truncated",), lambda path, table: 0x7FFFFFFF),
    ("on-the-header", ("Overlap", "Damaged"), lambda path, table: 2),
    ("of-the-fourth", ("Overlap",), lambda path, table: field(path, table + 12, "<I")),
):
    case("T25", *codes, name=f"vmdk-grain-{label}")(lambda place, value=value: grain(place, value))


@case("T25", "Truncated", "Damaged")
def vmdk_table_beyond_the_end(place):
    path = sparse(place)
    return patch(path, (field(path, GD, "<Q") * SECTOR, "<I", 0x7FFFFFFF))


@case("T13", "Truncated")
def vmdk_cut(place):
    return cut(sparse(place), -MIB)
