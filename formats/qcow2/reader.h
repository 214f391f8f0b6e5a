#pragma once
// The disk in a qcow2 file.

#include <memory>

#include <kiln/block.h>

#include "check.h"

namespace kiln::qcow2 {

/// Reads straight into the caller's buffer, clusters that follow each other in the file at once. Throws Error when a
/// compressed cluster does not decode to exactly one cluster, or the file has become shorter.
class Reader final : public BlockReader {
 public:
  /// Validates all tables first. `below` may be null: then what is not allocated reads as zeros.
  Reader(File, std::shared_ptr<const BlockReader> below);

  std::uint64_t size() const override { return image_.header.size; }
  Extent extent_at(std::uint64_t offset) const override;
  void read(std::uint64_t offset, std::span<std::byte> into) const override;

 private:
  /// A decoder with its buffers. Keeps its last cluster: one of 2 MiB is read in several steps.
  struct Decoder {
    explicit Decoder(const Header& header)
        : decompressor(header.compression), cluster(static_cast<std::size_t>(header.cluster_size())) {}
    Decompressor decompressor;
    std::vector<std::byte> stored, cluster;
    std::uint64_t holds = UINT64_MAX;  // the offset of the disk that `cluster` is of
  };

  Extent below_at(std::uint64_t offset, std::uint64_t length) const;
  void read_below(std::uint64_t offset, std::span<std::byte> into) const;
  void read_compressed(const Run&, std::uint64_t offset, std::span<std::byte> into) const;
  void decode(Decoder&, const Run&, std::uint64_t guest, std::span<std::byte> into) const;

  Image image_;
  std::shared_ptr<const BlockReader> below_;
  Tables tables_;
  mutable Pool<Decoder> decoders_;
};

}  // namespace kiln::qcow2
