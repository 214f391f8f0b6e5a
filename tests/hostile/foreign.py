"""The old formats that QEMU reads in the sandbox, once kiln has checked them: QED, Parallels, Bochs, cloop."""

import struct
import zlib

from case import MIB, case, cut, field, patch

QED_CLUSTER, QED_TABLE, QED_HEADER, QED_FEATURES, QED_L1, QED_SIZE, QED_BACKING = 4, 8, 12, 16, 40, 48, 56
HDS_CLUSTER, HDS_ENTRIES, HDS_SECTORS, HDS_IN_USE, HDS_DATA, HDS_TABLE = 28, 32, 36, 44, 48, 64


def qed(place):
    return place.made("disk.qed", "qed")


def hds(place):
    return place.made("disk.hds", "parallels", "cluster_size=64k")


for make, name in {qed: "qed", hds: "parallels"}.items():
    case("T61", name=f"{name}-inspected")(lambda place, make=make: make(place))
    case("T61", name=f"{name}-read", verb="convert", args=("--to", "raw"))(lambda place, make=make: make(place))
    case("T35", "Truncated", name=f"{name}-cut")(lambda place, make=make: cut(make(place), -MIB))


@case("T02", "BackingFile")
def qed_over_a_file_of_the_host(place):
    path, name = qed(place), str(place.canary).encode()
    return patch(path, (QED_FEATURES, "<Q", 1), (QED_BACKING, "<II", 0x400, len(name)), (0x400, name))


@case("T02", "BackingFile")
def qed_over_a_url(place):
    path, name = qed(place), b"nbd://127.0.0.1/disk"
    return patch(path, (QED_FEATURES, "<Q", 5), (QED_BACKING, "<II", 0x400, len(name)), (0x400, name))


@case("T35", "Truncated")
def qed_table_beyond_the_end(place):
    return patch(qed(place), (QED_L1, "<Q", 1 << 40))


@case("T35", "Overlap")
def qed_two_clusters_in_one_place(place):
    path = qed(place)
    table = field(path, field(path, QED_L1, "<Q"), "<Q")
    return patch(path, (table + 8, "<Q", field(path, table, "<Q")))


@case("T35", "Overlap")
def qed_table_on_the_header(place):
    return patch(qed(place), (QED_L1, "<Q", 0))


@case("T35", "Damaged")  # sound to kiln, which must not choke on it; too large for QEMU
def qed_of_64_tib_with_a_table_that_is_a_hole(place):
    path = qed(place)
    patch(path, (QED_CLUSTER, "<III", 64 * MIB, 16, 1), (QED_L1, "<Q", 64 * MIB), (QED_SIZE, "<Q", 1 << 46))
    cut(path, 64)
    place.content = None
    return cut(path, 1 << 40)


@case("T35", "Overlap")
def parallels_two_clusters_in_one_place(place):
    path = hds(place)
    return patch(path, (HDS_TABLE + 12, "<I", field(path, HDS_TABLE, "<I")))


@case("T35", "Truncated")
def parallels_cluster_beyond_the_end(place):
    return patch(hds(place), (HDS_TABLE, "<I", 0x7FFFFFF0))


@case("T35", "Damaged", "InvalidFormatSize")
def parallels_too_few_clusters_for_the_disk(place):
    return patch(hds(place), (HDS_SECTORS, "<Q", 1 << 31))


@case("T35")
def parallels_with_a_table_of_a_gib_that_is_a_hole(place):
    path = hds(place)
    patch(path, (HDS_CLUSTER, "<IIQ", 1, 1 << 28, 1 << 28), (HDS_DATA, "<I", (1 << 21) + 1))
    cut(path, 64)
    place.content = None
    return cut(path, 1 << 33)


def cloop(place, offsets=None):
    disk, block = place.disk(), 65536
    packed = [zlib.compress(disk[i : i + block]) for i in range(0, len(disk), block)]
    begin = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
    at, table = 136 + 8 * (len(packed) + 1), []
    for piece in packed:
        table.append(at)
        at += len(piece)
    table.append(at)
    for i, value in (offsets or {}).items():
        table[i] = value
    head = begin.ljust(128, b"\0") + struct.pack(">II", block, len(packed))
    if not offsets:
        place.content = disk
    return place.write("disk.cloop", head + b"".join(struct.pack(">Q", t) for t in table) + b"".join(packed))


@case("T61", verb="convert", args=("--to", "raw"))
def cloop_read(place):
    return cloop(place)


@case("T35", "Truncated", "Damaged")
def cloop_block_beyond_the_end(place):
    return cloop(place, {3: 1 << 50})


@case("T35", "Damaged", "Overlap")
def cloop_blocks_that_go_back(place):
    return cloop(place, {3: 200})


@case("T35", "InvalidFormatSize", "Damaged")
def cloop_of_four_billion_blocks(place):
    return patch(cloop(place), (132, ">I", 0xFFFFFFFF))


@case("T20", "ParentNeeded")
def bochs_that_holds_only_changes(place):
    head = b"Bochs Virtual HD Image".ljust(32, b"\0") + b"Redolog".ljust(16, b"\0") + b"Undoable".ljust(16, b"\0")
    return place.write("disk.bochs", (head + struct.pack("<IIIIIIQ", 0x20000, 512, 4, 256, MIB, 0, 4 * MIB)).ljust(2048, b"\0"))
