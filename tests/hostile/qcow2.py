"""qcow2: docs/interop/qcow2 of QEMU. Offsets are those of its header."""

import os
import struct
import subprocess

from case import case, cut, field, patch

BACKING, BACKING_LENGTH, BITS, SIZE, L1_SIZE, L1 = 8, 16, 20, 24, 36, 40
INCOMPATIBLE, COMPATIBLE, AUTOCLEAR, REFCOUNT_ORDER, HEADER_LENGTH = 72, 80, 88, 96, 100
CLUSTER = 65536


def plain(place, options=""):
    return place.made("disk.qcow2", "qcow2", options)


def first_l2(path):
    """Where the first L2 table is, and its first entry that maps something."""
    table = field(path, field(path, L1, ">Q"), ">Q") & 0x00FFFFFFFFFFFE00
    return table


def named(place, name):
    data = name if isinstance(name, bytes) else name.encode()
    return patch(
        plain(place), (512, data), (BACKING, ">Q", 512), (BACKING_LENGTH, ">I", len(data))
    )


BACKING_NAMES = {
    "absolute": lambda p: str(p.canary),
    "relative": lambda p: "../../canary",
    "file-url": lambda p: f"file:{p.canary}",
    "json": lambda p: f'json:{{"driver":"file","filename":"{p.canary}"}}',
    "nbd": lambda p: "nbd://127.0.0.1:10809/x",
    "http": lambda p: "http://127.0.0.1/x",
    "ssh": lambda p: "ssh://root@127.0.0.1/x",
    "fat": lambda p: "fat:rw:/etc",
    "zero-device": lambda p: "/dev/zero",
    "itself": lambda p: "disk.qcow2",
    "with-a-nul": lambda p: b"/etc\0/passwd",
    "with-a-newline": lambda p: "/etc\n/passwd",
    "of-a-kilobyte": lambda p: "x" * 1000,
    "empty": lambda p: "",
}
for label, text in BACKING_NAMES.items():
    case("T01", "BackingFile", name=f"qcow2-backing-{label}")(lambda place, text=text: named(place, text(place)))


@case("T01", "BackingFile")
def qcow2_backing_fifo(place):
    os.mkfifo(place.path("pipe"))
    return named(place, str(place.path("pipe")))


@case("T02", "BackingFile")
def qcow2_overlay_that_covers_the_whole_disk(place):
    return named(place, str(place.canary))


def with_data_file(place, name, bit=True):
    extension = struct.pack(">II", 0x44415441, len(name)) + name.encode() + b"\0" * (-len(name) % 8) + b"\0" * 8
    path = plain(place)
    patch(path, (field(path, HEADER_LENGTH, ">I"), extension))
    return patch(path, (INCOMPATIBLE, ">Q", 4)) if bit else path


for label, text in {
    "absolute": lambda p: str(p.canary),
    "relative": lambda p: "../../canary",
    "json": lambda p: f'json:{{"driver":"file","filename":"{p.canary}"}}',
    "nbd": lambda p: "nbd:127.0.0.1:10809",
    "itself": lambda p: "disk.qcow2",
}.items():
    case("T03", "DataFile", name=f"qcow2-data-file-{label}")(lambda place, text=text: with_data_file(place, text(place)))


@case("T04", "DataFile")
def qcow2_data_file_without_its_bit(place):
    return with_data_file(place, str(place.canary), bit=False)


@case("T03", "DataFile")
def qcow2_data_file_bit_without_a_name(place):
    return patch(plain(place), (INCOMPATIBLE, ">Q", 4))


@case("T03", "DataFile")
def qcow2_raw_data_file_autoclear(place):
    return patch(plain(place), (AUTOCLEAR, ">Q", 2))


@case("T06")
def qcow2_version_2(place):
    return plain(place, "compat=0.10")


for label, options in {
    "zstd": "compression_type=zstd",
    "extended-l2": "extended_l2=on,cluster_size=128k",
    "clusters-of-512": "cluster_size=512",
    "clusters-of-2m": "cluster_size=2M",
    "refcounts-of-1-bit": "refcount_bits=1",
    "refcounts-of-64-bits": "refcount_bits=64",
    "lazy-refcounts": "lazy_refcounts=on",
}.items():
    case("T07", name=f"qcow2-{label}")(lambda place, options=options: plain(place, options))


@case("T08")
def qcow2_dirty(place):
    return patch(plain(place, "lazy_refcounts=on"), (INCOMPATIBLE, ">Q", 1))


@case("T09", "Damaged")
def qcow2_marked_as_corrupt(place):
    return patch(plain(place), (INCOMPATIBLE, ">Q", 2))


@case("T10", "UnsupportedFeature")
def qcow2_unknown_incompatible_feature(place):
    return patch(plain(place), (INCOMPATIBLE, ">Q", 1 << 40))


@case("T10")
def qcow2_unknown_compatible_features(place):
    return patch(plain(place), (COMPATIBLE, ">Q", 1 << 40), (AUTOCLEAR, ">Q", 1 << 41))


@case("T13", "Truncated")
def qcow2_cut_at_its_end(place):
    return cut(plain(place), -CLUSTER * 2)


@case("T13", "Truncated")
def qcow2_cut_in_its_header(place):
    return cut(plain(place), 60)


@case("T13", "Truncated", "Damaged")
def qcow2_l1_beyond_the_end(place):
    return patch(plain(place), (L1, ">Q", 1 << 40))


@case("T13", "Truncated")
def qcow2_l2_beyond_the_end(place):
    path = plain(place)
    return patch(path, (field(path, L1, ">Q"), ">Q", 1 << 40 | 1 << 63))


def map_cluster(place, host):
    path = plain(place)
    return patch(path, (first_l2(path), ">Q", host(path) | 1 << 63))


for label, host in {
    "the-header": lambda path: 0,
    "the-l1-table": lambda path: field(path, L1, ">Q"),
    "its-own-table": first_l2,
    "the-refcounts": lambda path: field(path, 48, ">Q"),
}.items():
    # Offset 0 with the copied flag is no cluster at all.
    codes = ("Overlap", "Damaged")
    case("T14", *codes, name=f"qcow2-cluster-on-{label}")(lambda place, host=host: map_cluster(place, host))


@case("T14", "Overlap")
def qcow2_two_clusters_in_one_place(place):
    path = plain(place)
    table = first_l2(path)
    entry = field(path, table, ">Q")
    return patch(path, *((table + 8 * i, ">Q", entry) for i in range(1, 8)))


@case("T14", "Damaged")
def qcow2_cluster_that_is_not_aligned(place):
    return map_cluster(place, lambda path: field(path, first_l2(path), ">Q") & ((1 << 56) - 1) | 512)


for label, change in {
    "cluster-bits-8": (BITS, ">I", 8),
    "cluster-bits-63": (BITS, ">I", 63),
    "header-length-16": (HEADER_LENGTH, ">I", 16),
    "header-length-4g": (HEADER_LENGTH, ">I", 0xFFFFFFF8),
    "refcount-order-7": (REFCOUNT_ORDER, ">I", 7),
    "l1-of-2g-entries": (L1_SIZE, ">I", 1 << 31),
    "l1-too-short": (L1_SIZE, ">I", 0),
    "snapshots-4g": (60, ">I", 0xFFFFFFFF),
    "refcount-table-of-4g-clusters": (56, ">I", 0xFFFFFFFF),
    "compression-type-7": (104, "B", 7),
}.items():
    codes = ("Damaged", "UnsupportedFeature", "Truncated")
    case("T15", *codes, name=f"qcow2-{label}")(lambda place, change=change: patch(plain(place), change))


@case("T15", "UnsupportedFeature")
def qcow2_version_9(place):
    return patch(plain(place), (4, ">I", 9))


@case("T15", "Encrypted")
def qcow2_encrypted(place):
    return patch(plain(place), (32, ">I", 2))


for label, size in {"8-eib": 1 << 63, "all-ones": (1 << 64) - 1}.items():
    case("T17", "InvalidFormatSize", "Damaged", name=f"qcow2-of-{label}")(
        lambda place, size=size: patch(plain(place), (SIZE, ">Q", size))
    )


@case("T17", "Damaged")
def qcow2_larger_than_its_l1(place):
    return patch(plain(place), (SIZE, ">Q", 1 << 45))


@case("T12")
def qcow2_with_unreferenced_clusters(place):
    path = plain(place)
    with open(path, "ab") as file:
        file.write(b"SECRET" * (CLUSTER // 2))
    return path


@case("T36", "NestedFormat")
def qcow2_within_a_qcow2(place):
    inner = place.made("inner.qcow2", "qcow2")
    named_inner = patch(inner, (512, str(place.canary).encode()), (BACKING, ">Q", 512), (BACKING_LENGTH, ">I", len(str(place.canary))))
    outer = place.path("outer.qcow2")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", named_inner, outer], check=True)
    named_inner.unlink()
    return outer

