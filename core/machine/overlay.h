#pragma once
// The empty overlay that an instance starts with, written without another program: a fleet needs hundreds of them.
//
// Format: qcow2 version 3, QEMU's docs/interop/qcow2.txt ("Header", "Header extensions", "Host cluster management",
// "L1 table"): clusters of 64 KiB, refcounts of 16 bits, no cluster of the guest's allocated.

#include <cstdint>
#include <filesystem>

#include <kiln/context.h>

namespace kiln {

/// Makes `file`, which must not exist, on `base`, a disk of `size` bytes (a multiple of 512). The
/// base is not read: who calls knows its size. Takes 12 KiB of the host's disk, and no fsync: an
/// overlay that got lost in a power cut before its guest wrote holds nothing.
void write_overlay(const std::filesystem::path& file, std::uint64_t size, const DiskFile& base);

}  // namespace kiln
