"""VDI: the offsets are those of VirtualBox's header, version 1.1."""

from case import MIB, case, cut, field, patch

VERSION, TYPE, BLOCKS_AT, DATA_AT, SIZE, BLOCK, EXTRA, COUNT, USED = 0x44, 0x4C, 0x154, 0x158, 0x170, 0x178, 0x17C, 0x180, 0x184
LINK, PARENT = 0x1A8, 0x1B8


def dynamic(place):
    return place.made("disk.vdi", "vdi")


def entry(path, i):
    return field(path, BLOCKS_AT, "<I") + 4 * i


@case("T33")
def vdi_dynamic(place):
    return dynamic(place)


@case("T33")
def vdi_static(place):
    return place.made("disk.vdi", "vdi", "static=on")


@case("T33")
def vdi_with_a_discarded_block(place):
    path = dynamic(place)
    patch(path, (entry(path, 1), "<I", 0xFFFFFFFE))
    content = bytearray(place.content)
    content[MIB : 2 * MIB] = bytes(MIB)
    place.content = bytes(content)
    return path


for label, kind in {"undo": 3, "differencing": 4}.items():
    case("T20", "ParentNeeded", name=f"vdi-{label}")(lambda place, kind=kind: patch(dynamic(place), (TYPE, "<I", kind)))


@case("T33", "Damaged", "UnsupportedFeature")
def vdi_of_type_77(place):
    return patch(dynamic(place), (TYPE, "<I", 77))


for label, at in {"parent": PARENT, "link": LINK}.items():
    case("T33", "ParentNeeded", name=f"vdi-with-a-{label}")(lambda place, at=at: patch(dynamic(place), (at, b"\x11" * 16)))


@case("T33", "UnsupportedFeature", "Damaged")
def vdi_version_0_9(place):
    return patch(dynamic(place), (VERSION, "<I", 9))


@case("T33", "Truncated")
def vdi_block_beyond_the_end(place):
    path = dynamic(place)
    return patch(path, (entry(path, 0), "<I", 1000))


@case("T33", "Overlap")
def vdi_two_blocks_in_one_place(place):
    path = dynamic(place)
    return patch(path, (entry(path, 1), "<I", field(path, entry(path, 0), "<I")))


@case("T33", "Truncated")
def vdi_cut(place):
    return cut(dynamic(place), -MIB)


for label, change in {
    "blocks-of-0": (BLOCK, "<I", 0),
    "blocks-of-3": (BLOCK, "<I", 3),
    "4g-blocks": (COUNT, "<I", 0xFFFFFFFF),
    "too-few-blocks": (COUNT, "<I", 1),
    "map-beyond-the-end": (BLOCKS_AT, "<I", 0x7FFFFE00),
    "map-on-the-header": (BLOCKS_AT, "<I", 64),
    "data-on-the-map": (DATA_AT, "<I", 512),
}.items():
    codes = ("Damaged", "Truncated", "Overlap", "InvalidFormatSize", "UnsupportedFeature")
    case("T33", *codes, name=f"vdi-{label}")(lambda place, change=change: patch(dynamic(place), change))


for label, size in {"8-eib": 1 << 63, "0": 0}.items():
    codes = ("InvalidFormatSize", "Damaged")
    case("T17", *codes, name=f"vdi-of-{label}")(lambda place, size=size: patch(dynamic(place), (SIZE, "<Q", size)))
