#pragma once
// Which chunks are here, and where: the indexes of some packs behind one hash table.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <kiln/digest.h>

#include "catalog/pack_file.h"

namespace kiln {

/// Immutable, so any thread may ask. 16 bytes of memory for each chunk beside the packs' own indexes, about 50 ns for
/// an answer; making one takes about 50 ms for a million chunks.
class ChunkIndex {
 public:
  using Packs = std::vector<std::shared_ptr<const PackFile>>;
  explicit ChunkIndex(Packs);

  struct Found {
    std::uint32_t pack;  ///< position in packs()
    const PackEntry* entry;
  };
  /// Entry is null when there is no such chunk.
  Found find(const Digest&) const noexcept;
  bool contains(const Digest& digest) const noexcept { return find(digest).entry != nullptr; }
  const Packs& packs() const noexcept { return packs_; }

 private:
  struct Slot {
    std::uint32_t pack, entry;  // pack + 1; 0 is an empty slot
  };
  std::size_t first_slot(const Digest&) const noexcept;

  Packs packs_;
  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace kiln
