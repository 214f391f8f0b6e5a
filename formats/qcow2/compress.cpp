#include "compress.h"

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include <new>

namespace kiln::qcow2 {
namespace {

/// QEMU's own window, which other readers rely on: distances reach back at most 4 KiB.
constexpr int deflate_window_bits = 12;
/// No cluster is larger than 2 MiB, so no honest frame needs more; a hostile one could ask for 2 GiB.
constexpr int zstd_window_log_max = 23;

template <class T>
T* checked(T* made) {
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

}  // namespace

struct Decompressor::State {
  libdeflate_decompressor* deflate = nullptr;  // reads any window, twice as fast as zlib
  ZSTD_DCtx* zstd = nullptr;

  ~State() {
    libdeflate_free_decompressor(deflate);
    ZSTD_freeDCtx(zstd);
  }
};

Decompressor::Decompressor(Compression kind) : state_(std::make_unique<State>()) {
  if (kind == Compression::deflate) {
    state_->deflate = checked(libdeflate_alloc_decompressor());
  } else {
    state_->zstd = checked(ZSTD_createDCtx());
    ZSTD_DCtx_setParameter(state_->zstd, ZSTD_d_windowLogMax, zstd_window_log_max);
  }
}

Decompressor::~Decompressor() = default;

bool Decompressor::decode(std::span<const std::byte> from, std::span<std::byte> into) {
  if (state_->deflate != nullptr)
    return libdeflate_deflate_decompress(state_->deflate, from.data(), from.size(), into.data(), into.size(),
                                         nullptr) == LIBDEFLATE_SUCCESS;
  ZSTD_DCtx_reset(state_->zstd, ZSTD_reset_session_only);
  ZSTD_inBuffer input{from.data(), from.size(), 0};
  ZSTD_outBuffer output{into.data(), into.size(), 0};
  while (output.pos < output.size) {  // a cluster may consist of several frames
    const std::size_t in_before = input.pos, out_before = output.pos;
    if (ZSTD_isError(ZSTD_decompressStream(state_->zstd, &output, &input)) != 0) return false;
    if (input.pos == in_before && output.pos == out_before) return false;
  }
  return true;
}

struct Compressor::State {
  z_stream deflate{};
  bool has_deflate = false;
  ZSTD_CCtx* zstd = nullptr;

  ~State() {
    if (has_deflate) deflateEnd(&deflate);
    ZSTD_freeCCtx(zstd);
  }
};

Compressor::Compressor(Compression kind, int level, std::uint64_t cluster_size) : state_(std::make_unique<State>()) {
  if (kind == Compression::deflate) {
    const int memory = cluster_size <= 4096 ? 4 : 9;  // clearing the large hash would cost more than a small cluster
    if (deflateInit2(&state_->deflate, level == 0 ? Z_DEFAULT_COMPRESSION : level, Z_DEFLATED, -deflate_window_bits,
                     memory, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
    state_->has_deflate = true;
  } else {
    state_->zstd = checked(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(state_->zstd, ZSTD_c_compressionLevel, level);
  }
}

Compressor::~Compressor() = default;

std::size_t Compressor::encode(std::span<const std::byte> from, std::span<std::byte> into) {
  if (state_->zstd != nullptr) {
    const std::size_t n = ZSTD_compress2(state_->zstd, into.data(), into.size(), from.data(), from.size());
    return ZSTD_isError(n) != 0 ? 0 : n;
  }
  z_stream& z = state_->deflate;
  deflateReset(&z);
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(from.data()));
  z.avail_in = static_cast<uInt>(from.size());
  z.next_out = reinterpret_cast<Bytef*>(into.data());
  z.avail_out = static_cast<uInt>(into.size());
  return deflate(&z, Z_FINISH) == Z_STREAM_END ? into.size() - z.avail_out : 0;
}

}  // namespace kiln::qcow2
