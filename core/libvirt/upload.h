#pragma once
// Bytes of a disk on their way into a volume of another host.

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include <kiln/block.h>

#include "disk/manifest.h"
#include "libvirt/storage.h"

namespace kiln {

/// A piece of a disk, in bytes.
struct Range {
  std::uint64_t offset = 0, length = 0;
  bool operator==(const Range&) const = default;
};

/// All that is not zero. Ascending, neighbours joined, nothing past the disk's end.
std::vector<Range> data_of(const Manifest&);
/// Where `wanted` differs from what lies there; past the end of `there` that reads as zeros. In the same form.
std::vector<Range> differences(const Manifest& wanted, const Manifest& there);
std::uint64_t length_of(const std::vector<Range>&);

struct Upload {
  const BlockReader& from;
  const std::vector<Range>& ranges;
  std::stop_token stop = {};
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};

/// Into a fresh volume, in one go: what is between the ranges is not sent, and becomes holes.
void upload_whole(const Storage&, const std::string& volume, const Upload&);
/// Into a volume that has content: only the ranges are touched.
void upload_ranges(const Storage&, const std::string& volume, const Upload&);

/// A small file, from memory.
void upload_bytes(const Storage&, const std::string& volume, std::string_view bytes);

}  // namespace kiln
