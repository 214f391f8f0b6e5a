#pragma once
// From an offset of the disk to the place of its bytes in the file: L1 table, L2 tables, their entries.
//
// Source: QEMU, docs/interop/qcow2, "Cluster mapping". An L1 entry holds bits 9..55 of an L2 table's offset. An L2
// entry describes one cluster, or with extended L2 entries also its 32 subclusters.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "header.h"

namespace kiln::qcow2 {

/// What a piece of the disk reads as.
enum class Kind : std::uint8_t {
  unallocated,  ///< as the disk below, or zeros
  zero,         ///< zeros, whatever lies below
  data,         ///< the bytes at `host`
  compressed,   ///< a part of the cluster that the `stored` bytes at `host` decode to
};

/// One L2 entry, decoded.
struct Cluster {
  Kind kind = Kind::unallocated;           ///< with subclusters: `data` when there is a host cluster
  std::uint64_t host = 0;                  ///< byte offset in the file
  std::uint32_t stored = 0;                ///< compressed: whole sectors, so up to 511 bytes more than the stream has
  std::uint32_t allocated = 0, zeros = 0;  ///< extended L2 entries: one bit per subcluster
};

/// A run of the disk of one kind; data is contiguous in the file, compressed is within one cluster.
struct Run {
  Kind kind = Kind::unallocated;
  std::uint64_t length = 0;
  std::uint64_t host = 0;  ///< data: of the run's first byte; compressed: of the stream
  std::uint32_t stored = 0;
};

/// Decodes an entry. `guest` is the cluster's offset of the disk, for the message of an Error: reserved bits, an
/// offset that is not aligned, contradicting subcluster bits.
Cluster decode_entry(const Image&, std::uint64_t guest, std::uint64_t entry, std::uint64_t bitmap);

/// Reads the L1 table, as far as the disk's size needs it. Throws when an entry is malformed.
std::vector<std::uint64_t> read_l1(const Image&);

/// Look-up with a cache of L2 slices: at most 4 MiB, whatever the disk's size. Any thread may call it.
class Tables {
 public:
  /// `image` must outlive this.
  Tables(const Image& image, std::vector<std::uint64_t> l1);

  /// The run at `offset`, at most `limit` bytes. Looks no further than the L2 slice's end (2048 clusters at most), but
  /// over any number of absent L2 tables.
  Run run_at(std::uint64_t offset, std::uint64_t limit) const { return find(offset, limit, false); }
  /// The same by content alone: `compressed` counts as data, and data need not be contiguous in the file.
  Run kind_at(std::uint64_t offset, std::uint64_t limit) const { return find(offset, limit, true); }

 private:
  using Slice = std::vector<std::uint64_t>;  // 16 KiB of an L2 table or all of it, in the host's byte order
  struct Slot {
    std::uint64_t key = UINT64_MAX;
    std::uint64_t used = 0;
    std::shared_ptr<const Slice> slice;
  };
  struct Shard {
    std::mutex mutex;
    std::uint64_t clock = 0;
    std::array<Slot, 32> slots;
  };

  std::shared_ptr<const Slice> slice(std::uint64_t offset) const;
  Run find(std::uint64_t offset, std::uint64_t limit, bool by_kind) const;
  Run find_in(const Slice&, std::uint64_t offset, std::uint64_t limit, bool by_kind) const;
  Run find_in_extended(const Slice&, std::uint64_t offset, std::uint64_t limit, bool by_kind) const;
  Cluster cluster_in(const Slice&, std::uint64_t offset) const;

  const Image& image_;
  std::vector<std::uint64_t> l1_;
  std::uint64_t slice_bytes_;  // of the file
  std::uint64_t slice_span_;   // of the disk
  mutable std::array<Shard, 8> shards_;
};

}  // namespace kiln::qcow2
