#pragma once
// Where two disks differ, by their manifests: no byte of either is read.

#include <cstdint>
#include <vector>

#include "disk/manifest.h"

namespace kiln {

/// Chunks that follow each other.
struct ChunkRun {
  std::uint64_t first = 0;  ///< chunk number: offset / chunk_size
  std::uint64_t count = 0;
  bool zeros = false;  ///< in `wanted` all of them are zeros
};

/// The chunks that must be written to make `wanted` of `there`, ascending; what the smaller disk does not have reads as
/// zeros. A run is at most batch_size.
std::vector<ChunkRun> difference(const Manifest& there, const Manifest& wanted);

}  // namespace kiln
