#include "catalog/chunk_index.h"

#include <bit>
#include <functional>

namespace kiln {

ChunkIndex::ChunkIndex(Packs packs) : packs_(std::move(packs)) {
  std::size_t count = 0;
  for (const auto& pack : packs_) count += pack->entries().size();
  slots_.resize(std::bit_ceil(2 * count + 1));
  for (std::uint32_t p = 0; p < packs_.size(); ++p) {
    const auto entries = packs_[p]->entries();
    for (std::uint32_t e = 0; e < entries.size(); ++e) {
      std::size_t at = first_slot(entries[e].digest);
      while (slots_[at].pack != 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = {p + 1, e};
    }
  }
}

std::size_t ChunkIndex::first_slot(const Digest& digest) const noexcept {
  return std::hash<Digest>{}(digest) & (slots_.size() - 1);
}

ChunkIndex::Found ChunkIndex::find(const Digest& digest) const noexcept {
  for (std::size_t at = first_slot(digest); slots_[at].pack != 0; at = (at + 1) & (slots_.size() - 1)) {
    const PackEntry& entry = packs_[slots_[at].pack - 1]->entries()[slots_[at].entry];
    if (entry.digest == digest) return {slots_[at].pack - 1, &entry};
  }
  return {0, nullptr};
}

}  // namespace kiln
