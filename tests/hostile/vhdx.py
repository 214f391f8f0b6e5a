"""VHDX: Microsoft's MS-VHDX. Two headers at 64 and 128 KiB, two region tables at 192 and 256 KiB."""

import struct
import uuid

from case import MIB, case, cut, field, patch

HEADERS = (65536, 131072)
REGIONS = (196608, 262144)
BAT_GUID = uuid.UUID("2DC27766-F623-4200-9D64-115E9BFD4A08").bytes_le
METADATA_GUID = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le
FILE_PARAMETERS = uuid.UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B").bytes_le
VIRTUAL_SIZE = uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8").bytes_le


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _entry(n):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    return n


TABLE = [_entry(n) for n in range(256)]


def dynamic(place):
    return place.made("disk.vhdx", "vhdx", "block_size=1M")


def signed(data):
    data = bytearray(data)
    struct.pack_into("<I", data, 4, 0)
    struct.pack_into("<I", data, 4, crc32c(data))
    return bytes(data)


def change(path, places, length, *changes, sign=True):
    for at in places:
        with open(path, "rb") as file:
            file.seek(at)
            data = bytearray(file.read(length))
        for offset, form, value in changes:
            if form:
                struct.pack_into(form, data, offset, value)
            else:
                data[offset : offset + len(value)] = value
        patch(path, (at, signed(data) if sign else bytes(data)))
    return path


def region(path, guid):
    for i in range(field(path, REGIONS[0] + 8, "<I")):
        at = REGIONS[0] + 16 + 32 * i
        if field(path, at, "16s") == guid:
            return at - REGIONS[0], field(path, at + 16, "<Q")
    raise LookupError(guid)


def item(path, guid):
    table = region(path, METADATA_GUID)[1]
    for i in range(field(path, table + 10, "<H")):
        at = table + 32 + 32 * i
        if field(path, at, "16s") == guid:
            return table + field(path, at + 16, "<I"), at
    raise LookupError(guid)


@case("T22")
def vhdx_dynamic(place):
    return dynamic(place)


@case("T22")
def vhdx_fixed(place):
    return place.made("disk.vhdx", "vhdx", "subformat=fixed")


@case("T23")
def vhdx_whose_newer_header_is_torn(place):
    path = dynamic(place)
    newer = max(HEADERS, key=lambda at: field(path, at + 8, "<Q"))
    return patch(path, (newer + 100, b"torn"))


@case("T23", "Damaged", "ChecksumMismatch")
def vhdx_whose_headers_are_torn(place):
    return patch(dynamic(place), *((at + 100, b"torn") for at in HEADERS))


@case("T23")
def vhdx_whose_first_regions_are_torn(place):
    return patch(dynamic(place), (REGIONS[0] + 40, b"torn"))


@case("T23", "Damaged", "ChecksumMismatch")
def vhdx_whose_regions_are_torn(place):
    return patch(dynamic(place), *((at + 40, b"torn") for at in REGIONS))


@case("T20", "ParentNeeded")
def vhdx_differencing(place):
    path = dynamic(place)
    return patch(path, (item(path, FILE_PARAMETERS)[0] + 4, "<I", 2))


@case("T22", "Damaged", "ChecksumMismatch")
def vhdx_with_a_log_that_cannot_be_replayed(place):
    return change(dynamic(place), HEADERS, 4096, (48, "", b"\x77" * 16))


@case("T24", "Damaged", "Truncated")
def vhdx_log_beyond_the_end(place):
    return change(dynamic(place), HEADERS, 4096, (48, "", b"\x77" * 16), (72, "<Q", 1 << 40))


@case("T24", "UnsupportedFeature")
def vhdx_of_version_2(place):
    return change(dynamic(place), HEADERS, 4096, (66, "<H", 2))


@case("T24", "UnsupportedFeature", "Damaged")
def vhdx_with_an_unknown_region_that_is_required(place):
    path = dynamic(place)
    count = field(path, REGIONS[0] + 8, "<I")
    entry = b"\x99" * 16 + struct.pack("<QII", 64 * MIB, MIB, 1)
    return change(path, REGIONS, 65536, (16 + 32 * count, "", entry), (8, "<I", count + 1))


@case("T24", "Overlap", "Damaged")
def vhdx_with_a_table_on_the_metadata(place):
    path = dynamic(place)
    offset, _ = region(path, BAT_GUID)
    return change(path, REGIONS, 65536, (offset + 16, "<Q", region(path, METADATA_GUID)[1]))


@case("T24", "Truncated", "Damaged")
def vhdx_with_a_table_beyond_the_end(place):
    path = dynamic(place)
    return change(path, REGIONS, 65536, (region(path, BAT_GUID)[0] + 16, "<Q", 1 << 40))


def block(place, i, change_of):
    path = dynamic(place)
    at = region(path, BAT_GUID)[1] + 8 * i
    return patch(path, (at, "<Q", change_of(path, field(path, at, "<Q"))))


for label, codes, change_of in (
    ("beyond-the-end", ("Truncated",), lambda path, entry: entry & 7 | 1 << 50),
    ("on-the-header", ("Overlap", "Damaged"), lambda path, entry: entry & 7),
    ("on-the-table", ("Overlap",), lambda path, entry: entry & 7 | region(path, BAT_GUID)[1]),
    ("of-the-second", ("Overlap",), lambda path, entry: field(path, region(path, BAT_GUID)[1] + 8, "<Q")),
    ("in-state-5", ("Damaged", "UnsupportedFeature"), lambda path, entry: entry & ~7 | 5),
    ("in-state-7", ("Damaged", "ParentNeeded", "UnsupportedFeature"), lambda path, entry: entry & ~7 | 7),
):
    case("T24", *codes, name=f"vhdx-block-{label}")(lambda place, f=change_of: block(place, 0, f))


for label, size in {"8-eib": 1 << 63, "0": 0, "odd": MIB + 1}.items():

    def sized(place, size=size):
        path = dynamic(place)
        return patch(path, (item(path, VIRTUAL_SIZE)[0], "<Q", size))

    case("T17", "InvalidFormatSize", "Damaged", "DiskTooLarge", name=f"vhdx-of-{label}")(sized)


@case("T24", "Damaged", "InvalidFormatSize")
def vhdx_with_blocks_of_3_bytes(place):
    path = dynamic(place)
    return patch(path, (item(path, FILE_PARAMETERS)[0], "<I", 3))


@case("T24", "Damaged", "UnsupportedFeature")
def vhdx_with_unknown_metadata_that_is_required(place):
    path = dynamic(place)
    return patch(path, (item(path, FILE_PARAMETERS)[1], b"\x55" * 16))


@case("T22", "Truncated")
def vhdx_cut(place):
    return cut(dynamic(place), -MIB)


@case("T22", "Truncated", "Damaged")
def vhdx_cut_in_its_header(place):
    return cut(dynamic(place), 100_000)
