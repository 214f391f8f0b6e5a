#pragma once
// A SHA-256 value: of a chunk, of a disk's content, of a file.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include <kiln/error.h>

namespace kiln {

/// 32 bytes. The default value, all zero, stands for "a chunk that reads as zeros": no real content hashes to it.
struct Digest {
  std::array<std::byte, 32> bytes{};

  bool is_zero_chunk() const noexcept { return *this == Digest{}; }
  auto operator<=>(const Digest&) const = default;
};

/// Lower-case hexadecimal, 64 characters.
KILN_API std::string to_hex(const Digest&);
/// Reads 64 hexadecimal characters, with or without "sha256:" before them.
KILN_API std::optional<Digest> parse_digest(std::string_view text);

}  // namespace kiln

template <>
struct std::hash<kiln::Digest> {
  std::size_t operator()(const kiln::Digest& d) const noexcept {
    std::size_t h = 0;
    std::memcpy(&h, d.bytes.data(), sizeof h);
    return h;
  }
};
