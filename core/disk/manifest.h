#pragma once
// The list of a disk's chunk digests, as a file. With it a disk is compared, published or copied without reading it.
//
// Layout, little-endian:
//
//     0   8  magic "KILNMAN1"
//     8   8  disk size in bytes
//    16   8  number of entries
//    24   8  zero
//    32  32  content digest of the disk (see content.h)
//    64  40 * entries: chunk index (8), SHA-256 of the chunk (32); by index ascending, chunks of zeros left out
//
// The content digest is by definition the SHA-256 of a prefix, the size and these very entries: it is the file's
// checksum at the same time.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include <kiln/block.h>
#include <kiln/file.h>

namespace kiln {

/// A manifest, mapped read-only. Cheap to move; any thread may read it. The file must not be changed meanwhile.
class Manifest {
 public:
  struct Entry {
    std::uint64_t index;  ///< chunk number: offset / chunk_size
    Digest digest;        ///< never the zero digest
  };

  /// Checks everything, the digest included (3 ms for 8 GiB of data). Throws Error when the file is damaged.
  static Manifest open(const std::filesystem::path&);

  std::uint64_t disk_size() const noexcept { return disk_size_; }
  const Digest& content() const noexcept { return content_; }
  /// Ascending by index.
  std::span<const Entry> entries() const noexcept { return entries_; }
  /// The file as it is, to hand it on.
  std::span<const std::byte> bytes() const noexcept;
  /// The digest of a chunk; the zero digest when it is all zeros.
  Digest at(std::uint64_t index) const noexcept;

 private:
  struct Mapping;
  Manifest() = default;
  std::shared_ptr<const Mapping> mapping_;
  std::span<const Entry> entries_;
  std::uint64_t disk_size_ = 0;
  Digest content_;
};

/// Writes the manifest of the disk that a pass reads. Knows every chunk: it wants digests, never bytes.
class ManifestSink final : public BlockSink {
 public:
  /// `file` appears with finish(), on the disk for good, in place of what had its name. Without it nothing is left.
  ManifestSink(const std::filesystem::path& file, std::uint64_t disk_size);
  ~ManifestSink() override;

  bool knows(const Digest&) const override { return true; }
  void append(Encoded&) override;
  void finish() override;
  /// After finish(): the disk's identity.
  const Digest& content() const noexcept { return content_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  Digest content_;
};

}  // namespace kiln
