#pragma once
// Where a new file's clusters go, and their refcounts.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <kiln/file.h>

namespace kiln::qcow2 {

/// Hands out the file from its start to its end and never takes back, so every plain cluster has refcount 1 and a
/// refcount block (16 bit refcounts) can be written as soon as the file has grown past what it covers. Memory does not
/// grow with the file: the refcounts of one block, and 8 bytes per block written.
///
/// Not for concurrent calls.
class Space {
 public:
  /// The first cluster is the header's.
  Space(File& file, unsigned cluster_bits);

  /// The offset of `count` new clusters.
  std::uint64_t clusters(std::uint64_t count);
  /// The offset of `bytes` (at most a cluster) of compressed data: packed to the byte behind the data before when it
  /// fits there or can go on into the next cluster, as QEMU does.
  std::uint64_t packed(std::uint64_t bytes);
  /// Writes the refcount blocks that are complete. Call it between batches, not within.
  void settle();

  struct RefcountTable {
    std::uint64_t offset = 0;
    std::uint32_t clusters = 0;
  };
  /// Writes what is left of the refcounts, and the table. Nothing can be allocated after it.
  RefcountTable finish();

  std::uint64_t end() const { return next_ << bits_; }  ///< of the file, in bytes

 private:
  void count_up(std::uint64_t cluster);
  void write_block(std::uint64_t offset);

  File& file_;
  unsigned bits_;
  std::uint64_t per_block_;                // refcounts in a block
  std::uint64_t next_ = 0;                 // the first cluster not handed out
  std::uint64_t fill_ = 0, fill_end_ = 0;  // free bytes of the last cluster of packed data
  std::uint64_t first_ = 0;                // the cluster that counts_[0] is of: the first one of a block
  std::vector<std::uint16_t> counts_;
  std::vector<std::uint64_t> blocks_;  // offsets
};

}  // namespace kiln::qcow2
