#pragma once
// A published disk, read from its manifest and packs.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include <kiln/block.h>

#include "catalog/chunk_index.h"
#include "disk/manifest.h"

namespace kiln {

/// Every chunk is checked against its digest when it is read. Fast for whole, aligned chunks; a smaller read costs as
/// much as its chunk. Keeps its files open: removing the image does not disturb it.
class ImageReader final : public BlockReader {
 public:
  /// Throws Error when a chunk of the manifest is in none of the packs.
  ImageReader(Manifest, ChunkIndex);
  /// Fills 64 KiB with the chunk of that digest, checked. Any thread.
  using Fetch = std::function<void(const Digest&, std::span<std::byte> into)>;
  /// Of chunks that are elsewhere.
  ImageReader(Manifest manifest, Fetch fetch) : manifest_(std::move(manifest)), fetch_(std::move(fetch)) {}

  std::uint64_t size() const override { return manifest_.disk_size(); }
  Extent extent_at(std::uint64_t offset) const override;
  void read(std::uint64_t offset, std::span<std::byte> into) const override;

 private:
  void read_chunk(std::size_t position, std::uint64_t within, std::span<std::byte> into) const;

  Manifest manifest_;
  Fetch fetch_;
};

}  // namespace kiln
