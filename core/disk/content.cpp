#include "disk/content.h"

#include <kiln/endian.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace kiln {

ContentHasher::ContentHasher(std::uint64_t disk_size) {
  std::array<std::byte, 8> size{};
  put_le<std::uint64_t>(size, 0, disk_size);
  hasher_.update("kiln-disk-1\n").update(size);
}

void ContentHasher::add(std::uint64_t index, const Digest& digest) {
  if (digest.is_zero_chunk()) return;
  std::array<std::byte, 40> entry{};
  put_le<std::uint64_t>(entry, 0, index);
  std::ranges::copy(digest.bytes, entry.begin() + 8);
  hasher_.update(entry);
}

void ContentHasher::add_encoded(std::span<const std::byte> entries) {
  hasher_.update(entries);
}

Digest ContentHasher::finish() {
  return hasher_.digest();
}

bool is_zero(std::span<const std::byte> bytes) noexcept {
  // Blocks of 256 bytes, or-ed together without a branch: the compiler makes vector code of it.
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 256; at += 256, left -= 256) {
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < 256; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, at + i, 8);
      any |= word;
    }
    if (any != 0) return false;
  }
  return std::all_of(at, at + left, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace kiln
