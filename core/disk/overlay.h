#pragma once
// Fresh qcow2 files to build disks in, written natively: no other program runs.
//
// A file made here has version 3, 64 KiB clusters, 16 bit refcounts and no data cluster yet (QEMU, docs/interop/qcow2).

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace kiln {

/// An empty layer of `size` bytes, rounded up to a sector of 512: everything reads as in `backing`, a file of
/// `backing_format`, and as zeros past its end. `backing` is written into the header as it is given, so give an
/// absolute path, or one relative to `file`'s folder. `file` must not exist. Throws invalid() when the size or the name
/// does not fit the format.
void create_overlay(const std::filesystem::path& file, std::uint64_t size, const std::filesystem::path& backing,
                    std::string_view backing_format);

/// An empty disk of `size` bytes that reads as zeros.
void create_empty(const std::filesystem::path& file, std::uint64_t size);

}  // namespace kiln
