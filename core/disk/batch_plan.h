#pragma once
// Which batches of a disk a pass has to look at, and what is known of them before anything is read.

#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include <kiln/block.h>

namespace kiln {

class Manifest;

/// A batch that holds data, before it is read.
struct PlannedBatch {
  static constexpr std::size_t chunk_count = batch_size / chunk_size;
  using Chunks = std::bitset<chunk_count>;
  struct Run {
    std::uint64_t offset, length;
  };

  std::uint64_t offset = 0, length = 0;
  std::vector<Run> runs = {};    ///< its data, ascending, within the batch
  std::uint64_t data_bytes = 0;  ///< the runs' sum
  Chunks data = {};              ///< chunks that a run touches; the others are zeros
  Chunks known = {};             ///< chunks whose digest the manifest or the reader has: not read for it
};

/// Walks the extents once, in disk order, and jumps over holes: an empty disk of any size is one step. For one thread
/// at a time.
class BatchPlan {
 public:
  /// `known` and `known_is_whole` as in PassOptions. Throws Error when the manifest cannot be this disk's.
  BatchPlan(const BlockReader&, const Manifest* known, bool known_is_whole);

  /// Nothing when the disk's end is reached.
  std::optional<PlannedBatch> next();

 private:
  void add(PlannedBatch&, const Extent&) const;
  bool may_be_known(std::uint64_t chunk_offset) const;

  const BlockReader& reader_;
  const Manifest* known_;
  bool whole_;
  std::uint64_t size_;
  std::uint64_t at_ = 0;
};

/// Bytes of data that the extents promise.
std::uint64_t count_data(const BlockReader&);

}  // namespace kiln
