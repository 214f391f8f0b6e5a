#pragma once
// How one chunk is stored: as it is, or compressed.

#include <cstddef>
#include <cstdint>
#include <span>

namespace kiln {

/// The number is part of the pack format: never change one, only add.
enum class Codec : std::uint8_t {
  raw = 0,   ///< the chunk's 64 KiB
  zstd = 1,  ///< one Zstandard frame (RFC 8878), content size in its header
};

struct EncodedChunk {
  Codec codec = Codec::raw;
  std::size_t size = 0;
};

/// Writes the smaller form of a whole chunk into `into`, which has room for chunk_size bytes. Any thread.
EncodedChunk encode_chunk(std::span<const std::byte> chunk, std::span<std::byte> into);

/// Fills `into` (chunk_size bytes) from the stored form. False when that is not a whole chunk. Any thread.
bool decode_chunk(Codec, std::span<const std::byte> stored, std::span<std::byte> into) noexcept;

}  // namespace kiln
