#pragma once
// The disk behind an index of chunks: which chunk lies where in which blob.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <kiln/block.h>

#include "oci/oci_blobs.h"

namespace kiln::import {

/// A chunk of the disk and its place.
struct OciChunk {
  std::uint64_t index = 0;  ///< chunk number: offset / chunk_size
  Digest digest;            ///< of its 64 KiB
  std::uint32_t blob = 0, offset = 0, stored = 0;
  std::uint8_t codec = 0;  ///< 0 as it is, 1 one Zstandard frame
};

struct OciIndex {
  std::uint64_t disk_size = 0;
  Digest content;
  std::vector<OciChunk> chunks;  ///< ascending by index
};

/// Reads an index blob. The chunks must fill the blobs exactly: in order, without gaps and overlaps, a repeated chunk
/// where it was before. Its content digest must be that of its entries. Throws Error otherwise.
OciIndex parse_oci_index(std::span<const std::byte>, const std::vector<Descriptor>& blobs);

/// The blobs must have been verified. A chunk that is not what its digest says is an Error.
std::shared_ptr<const BlockReader> open_oci_disk(Blobs, std::vector<Descriptor> blobs, OciIndex);

}  // namespace kiln::import
