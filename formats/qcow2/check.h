#pragma once
// The walk over all tables that comes before any byte of the disk is read.

#include <cstdint>
#include <vector>

#include "tables.h"

namespace kiln::qcow2 {

/// What the walk counted.
struct Usage {
  std::uint64_t data_bytes = 0;        ///< of the disk, held as they are
  std::uint64_t compressed_bytes = 0;  ///< of the disk, held compressed
  std::uint64_t stored_bytes = 0;      ///< of the file, that those take
};

/// Validates every entry of every table that the active disk uses:
/// - each L2 table, refcount block, data cluster and compressed cluster lies within the file;
/// - no two of them share a host cluster, and none is on the header, the L1 table or the refcount table. Only
/// compressed
///   clusters may share one with each other.
///
/// Takes one pass over the L2 tables (holes of the file skipped) and at most two bits per cluster of the file: 64 MiB.
/// Internal snapshots are not looked at, nor are the refcounts themselves. Throws Error naming the entry.
Usage check_tables(const Image&, const std::vector<std::uint64_t>& l1);

}  // namespace kiln::qcow2
