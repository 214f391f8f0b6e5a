#include "compress.h"

#include <libdeflate.h>
#include <zstd.h>

#include <new>

namespace kiln::qcow2 {
namespace {

/// Never larger than what QEMU makes, in less than half of the time. QEMU writes with a window of 4 KiB, and this one
/// reaches back 32 KiB, as RFC 1951 allows: a cluster is decoded in one piece, so that the output is the window, and
/// zlib's inflate, which QEMU asks for 4 KiB only, then takes any distance within it.
constexpr int usual_deflate_level = 3;
/// Of the levels whose output is at most 2 % larger than that of QEMU's (3), the fastest.
constexpr int usual_zstd_level = 2;
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
  libdeflate_compressor* deflate = nullptr;
  ZSTD_CCtx* zstd = nullptr;

  ~State() {
    libdeflate_free_compressor(deflate);
    ZSTD_freeCCtx(zstd);
  }
};

Compressor::Compressor(Compression kind, int level) : state_(std::make_unique<State>()) {
  if (kind == Compression::deflate) {
    state_->deflate = checked(libdeflate_alloc_compressor(level == 0 ? usual_deflate_level : level));
  } else {
    state_->zstd = checked(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(state_->zstd, ZSTD_c_compressionLevel, level == 0 ? usual_zstd_level : level);
  }
}

Compressor::~Compressor() = default;

std::size_t Compressor::encode(std::span<const std::byte> from, std::span<std::byte> into) {
  if (state_->zstd != nullptr) {
    const std::size_t n = ZSTD_compress2(state_->zstd, into.data(), into.size(), from.data(), from.size());
    return ZSTD_isError(n) != 0 ? 0 : n;
  }
  return libdeflate_deflate_compress(state_->deflate, from.data(), from.size(), into.data(), into.size());
}

}  // namespace kiln::qcow2
