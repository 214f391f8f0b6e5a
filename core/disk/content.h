#pragma once
// What makes two disks the same disk.

#include <cstddef>
#include <cstdint>
#include <span>

#include <kiln/digest.h>
#include <kiln/hash.h>

namespace kiln {

/// The identity of a disk's guest-visible content:
///
///     sha256( "kiln-disk-1\n", size, { index, digest } for every chunk that is not all zeros, in order )
///
/// `size` and `index` are 64 bit little-endian. A chunk's digest is the SHA-256 of its 64 KiB; the disk's last chunk is
/// padded with zeros. So neither the container nor how it spells zeros has a say.
class ContentHasher {
 public:
  explicit ContentHasher(std::uint64_t disk_size);

  /// Indexes must ascend. The zero digest is skipped.
  void add(std::uint64_t index, const Digest&);
  /// Many at once, already in the form { index le64, digest }: 40 bytes each.
  void add_encoded(std::span<const std::byte> entries);
  /// Once.
  Digest finish();

 private:
  Hasher hasher_;
};

/// True when every byte is zero. Ends at the first one that is not; about 30 GB/s.
bool is_zero(std::span<const std::byte>) noexcept;

}  // namespace kiln
