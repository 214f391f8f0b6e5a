#include "catalog/codec.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <kiln/block.h>
#include <kiln/error.h>

namespace kiln {
namespace {

// Measured on text, programs and random data (docs/store.md): level 1 costs half as much again as -1 and stores a fifth
// less; level 3 costs twice as much and stores 5 % less.
constexpr int level = 1;
// Below a gain of one sixteenth, reading the chunk back at memory speed is worth more.
constexpr std::size_t worthwhile = chunk_size - chunk_size / 16;

struct FreeContexts {
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  void operator()(ZSTD_DCtx* d) const { ZSTD_freeDCtx(d); }
};

/// True for what an earlier compression or encryption made: every byte value is about equally frequent in a sample.
bool looks_random(std::span<const std::byte> chunk) noexcept {
  constexpr std::size_t runs = 16, run = 256, sample = runs * run;
  std::array<std::uint16_t, 256> count{};
  const std::size_t stride = chunk.size() / runs;
  for (std::size_t r = 0; r < runs; ++r)
    for (std::size_t i = 0; i < run; ++i) ++count[std::to_integer<std::size_t>(chunk[r * stride + i])];
  std::uint64_t squares = 0;
  for (const std::uint16_t c : count) squares += static_cast<std::uint64_t>(c) * c;
  // Uniform bytes give sample + sample * (sample - 1) / 256, with a deviation of half a percent.
  constexpr std::uint64_t uniform = sample + sample * (sample - 1) / 256;
  return squares < uniform + uniform / 20;
}

}  // namespace

EncodedChunk encode_chunk(std::span<const std::byte> chunk, std::span<std::byte> into) {
  if (!looks_random(chunk)) {
    thread_local const std::unique_ptr<ZSTD_CCtx, FreeContexts> context(ZSTD_createCCtx());
    if (!context) throw Error("no memory to compress with", "close other programs");
    const std::size_t room = std::min(into.size(), worthwhile);
    const std::size_t n = ZSTD_compressCCtx(context.get(), into.data(), room, chunk.data(), chunk.size(), level);
    if (!ZSTD_isError(n)) return {Codec::zstd, n};  // the only error here: it does not fit, it gained too little
  }
  std::memcpy(into.data(), chunk.data(), chunk.size());
  return {Codec::raw, chunk.size()};
}

bool decode_chunk(Codec codec, std::span<const std::byte> stored, std::span<std::byte> into) noexcept {
  if (codec == Codec::raw) {
    if (stored.size() != into.size()) return false;
    if (stored.data() != into.data()) std::memcpy(into.data(), stored.data(), into.size());
    return true;
  }
  if (codec != Codec::zstd) return false;
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContexts> context(ZSTD_createDCtx());
  if (!context) return false;
  const std::size_t n = ZSTD_decompressDCtx(context.get(), into.data(), into.size(), stored.data(), stored.size());
  return !ZSTD_isError(n) && n == into.size();
}

}  // namespace kiln
