#include "unpack/decoder.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include <kiln/finding.h>
#include <kiln/text.h>

namespace kiln::import {
namespace {

using namespace std::literals;

// The largest dictionary that xz's and zstd's own levels use is 64 and 128 MiB.
constexpr std::uint64_t most_memory = 256u << 20;
constexpr std::array magics{std::pair(Packing::gzip, "\x1f\x8b\x08"sv),
                            std::pair(Packing::xz,
                                      "\xfd"
                                      "7zXZ\0"sv),
                            std::pair(Packing::zstd, "\x28\xb5\x2f\xfd"sv), std::pair(Packing::bzip2, "BZh"sv),
                            std::pair(Packing::zip, "PK\x03\x04"sv)};
/// RFC 8878, section 3.1.2: a frame to be skipped, with which pzstd begins. The first byte is 0x50 to 0x5f.
constexpr std::string_view skippable = "\x2a\x4d\x18";
/// What gzip ignores, too: the zeros of the last block of a tape or a partition.
constexpr std::uint64_t most_padding = 16u << 20;
/// OpenWrt writes facts and a signature behind its images: package/utils/fwtool, struct fwimage_trailer, the last 16
/// bytes of the file.
constexpr std::string_view fwtool = "FWx0";
constexpr std::uint64_t fwtool_trailer = 16, most_of_fwtool = 1u << 20;

/// A decoder over a library's stream: refills its input from the file.
class StreamDecoder : public Decoder {
 public:
  explicit StreamDecoder(const File& file) : file_(file), buffer_(256 * 1024) {}

  std::size_t read(std::span<std::byte> into) final {
    std::size_t done = 0;
    while (done < into.size() && !finished_) {
      if (left_ == 0) refill();
      done += step(into.subspan(done));
    }
    return done;
  }
  std::uint64_t consumed() const final { return at_ - left_; }

 protected:
  /// Takes input with take(), returns the bytes put. Called with no input at the file's end only.
  virtual std::size_t step(std::span<std::byte> into) = 0;

  std::byte* input() { return buffer_.data() + (filled_ - left_); }
  std::size_t left() const { return left_; }
  void take_all_but(std::size_t left) { left_ = left; }
  bool file_ends() {
    if (left_ == 0) refill();
    return left_ == 0;
  }
  void finish() { finished_ = true; }

  /// What follows is no stream: it may be left alone, or it is junk.
  void finish_before_rest() {
    const std::uint64_t from = consumed(), size = file_.size();
    if (!is_padding(from, size) && !is_of_fwtool(from, size)) throw junk();
    left_ = 0;
    at_ = size;
    finish();
  }

  Error cut() const {
    return Error(file_.path().string() + " is truncated", "get a complete copy of the file",
                 {"the compressed stream goes on at byte " + std::to_string(file_.size()) + ", where the file ends"})
        .as(code::truncated);
  }
  Error broken(const std::string& why, std::string_view code = code::damaged) const {
    return damaged(file_, "near byte " + std::to_string(consumed()) + ": " + printable(why, 200), code);
  }
  Error junk() const {
    return refused(file_.path().string() + " has something after the compressed stream's end",
                   "cut it off, or ask whoever made it", {"from byte " + std::to_string(consumed()) + " on"})
        .as(code::archive);
  }
  Error greedy(const std::string& why) const {
    return refused(file_.path().string() + " needs more memory to unpack than kiln gives it",
                   "unpack it and compress it with an ordinary level", {why})
        .as(code::unsupported);
  }

 private:
  bool is_padding(std::uint64_t from, std::uint64_t size) const {
    if (size - from > most_padding) return false;
    std::vector<std::byte> rest(size - from);
    file_.read_at(from, rest);
    return std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; });
  }

  bool is_of_fwtool(std::uint64_t from, std::uint64_t size) const {
    if (size - from < fwtool_trailer || size - from > most_of_fwtool) return false;
    std::array<std::byte, fwtool.size()> mark{};
    file_.read_at(size - fwtool_trailer, mark);
    return std::memcmp(mark.data(), fwtool.data(), fwtool.size()) == 0;
  }

  void refill() {
    filled_ = left_ = file_.read_some(at_, buffer_);
    at_ += filled_;
  }

  const File& file_;
  std::vector<std::byte> buffer_;
  std::size_t filled_ = 0, left_ = 0;
  std::uint64_t at_ = 0;
  bool finished_ = false;
};

/// Libraries count in 32 bits.
unsigned clipped(std::size_t size) {
  return static_cast<unsigned>(std::min<std::size_t>(size, 1u << 30));
}

/// RFC 1952: members one after the other are one file. zlib compares CRC and length.
class GzipDecoder final : public StreamDecoder {
 public:
  explicit GzipDecoder(const File& file) : StreamDecoder(file) {
    if (::inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~GzipDecoder() override { ::inflateEnd(&stream_); }

 private:
  std::size_t step(std::span<std::byte> into) override {
    if (left() == 0) throw cut();
    stream_.next_in = reinterpret_cast<Bytef*>(input());
    stream_.avail_in = clipped(left());
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    const unsigned room = stream_.avail_out = clipped(into.size());
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    take_all_but(stream_.avail_in);
    if (result == Z_STREAM_END) {
      next_member();
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      const std::string why = stream_.msg != nullptr ? stream_.msg : "cannot be read";
      if (members_ > 0 && why == "incorrect header check") throw junk();
      const bool compared = why == "incorrect data check" || why == "incorrect length check";
      throw broken(why, compared ? code::checksum : code::damaged);
    }
    return room - stream_.avail_out;
  }

  void next_member() {
    if (file_ends()) return finish();
    if (*input() != std::byte{0x1f}) return finish_before_rest();
    ++members_;
    ::inflateReset(&stream_);
  }

  z_stream stream_{};
  std::uint64_t members_ = 0;
};

class XzDecoder final : public StreamDecoder {
 public:
  explicit XzDecoder(const File& file) : StreamDecoder(file) {
    lzma_mt options{};
    options.flags = LZMA_CONCATENATED;
    options.threads = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
    options.memlimit_threading = options.memlimit_stop = most_memory;
    if (::lzma_stream_decoder_mt(&stream_, &options) != LZMA_OK) throw std::bad_alloc();
  }
  ~XzDecoder() override { ::lzma_end(&stream_); }

 private:
  std::size_t step(std::span<std::byte> into) override {
    const bool end = left() == 0;
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(input());
    stream_.avail_in = left();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(into.data());
    stream_.avail_out = into.size();
    const lzma_ret result = ::lzma_code(&stream_, end ? LZMA_FINISH : LZMA_RUN);
    take_all_but(stream_.avail_in);
    switch (result) {
      case LZMA_OK:
        break;
      case LZMA_STREAM_END:
        finish();
        break;
      case LZMA_BUF_ERROR:
        if (end) throw cut();
        break;
      case LZMA_MEMLIMIT_ERROR:
        throw greedy(std::to_string(::lzma_memusage(&stream_)) + " bytes, at most " + std::to_string(most_memory) +
                     " are given");
      case LZMA_FORMAT_ERROR:
        throw junk();  // the first stream's mark was there
      default:
        throw broken("liblzma says error " + std::to_string(result));
    }
    return into.size() - stream_.avail_out;
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

/// RFC 8878: frames one after the other are one file.
class ZstdDecoder final : public StreamDecoder {
 public:
  explicit ZstdDecoder(const File& file) : StreamDecoder(file), stream_(::ZSTD_createDCtx()) {
    if (!stream_) throw std::bad_alloc();
    ::ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, 27);
  }

 private:
  std::size_t step(std::span<std::byte> into) override {
    if (left() == 0 && !in_frame_) {
      finish();
      return 0;
    }
    const bool end = left() == 0;
    ZSTD_inBuffer in{input(), left(), 0};
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    const std::size_t result = ::ZSTD_decompressStream(stream_.get(), &out, &in);
    take_all_but(in.size - in.pos);
    if (::ZSTD_isError(result) != 0) throw failure(::ZSTD_getErrorCode(result));
    if (end && out.pos == 0 && result != 0) throw cut();
    in_frame_ = result != 0;
    frames_ += result == 0 ? 1 : 0;
    return out.pos;
  }

  Error failure(ZSTD_ErrorCode error) const {
    const std::string why = ::ZSTD_getErrorString(error);
    if (error == ZSTD_error_frameParameter_windowTooLarge) return greedy(why);
    if (error == ZSTD_error_prefix_unknown && frames_ > 0) return junk();
    return broken(why, error == ZSTD_error_checksum_wrong ? code::checksum : code::damaged);
  }

  struct Free {
    void operator()(ZSTD_DCtx* c) const { ::ZSTD_freeDCtx(c); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> stream_;
  std::uint64_t frames_ = 0;
  bool in_frame_ = true;
};

/// Streams one after the other are one file, as pbzip2 writes them. The library compares the CRCs.
class Bzip2Decoder final : public StreamDecoder {
 public:
  explicit Bzip2Decoder(const File& file) : StreamDecoder(file) { begin(); }
  ~Bzip2Decoder() override { ::BZ2_bzDecompressEnd(&stream_); }

 private:
  void begin() {
    stream_ = {};
    if (::BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw std::bad_alloc();
  }

  std::size_t step(std::span<std::byte> into) override {
    const bool end = left() == 0;
    stream_.next_in = reinterpret_cast<char*>(input());
    stream_.avail_in = clipped(left());
    stream_.next_out = reinterpret_cast<char*>(into.data());
    const unsigned room = stream_.avail_out = clipped(into.size());
    const int result = ::BZ2_bzDecompress(&stream_);
    take_all_but(stream_.avail_in);
    const std::size_t put = room - stream_.avail_out;
    if (result == BZ_STREAM_END) {
      next_stream();
    } else if (result == BZ_DATA_ERROR_MAGIC && streams_ > 0) {
      throw junk();
    } else if (result != BZ_OK) {
      throw broken(result == BZ_DATA_ERROR ? "a block's checksum or its data is wrong" : "this is no block");
    } else if (end && put == 0) {
      throw cut();
    }
    return put;
  }

  void next_stream() {
    if (file_ends()) return finish();
    if (*input() != std::byte{'B'}) return finish_before_rest();
    ++streams_;
    ::BZ2_bzDecompressEnd(&stream_);
    begin();
  }

  bz_stream stream_{};
  std::uint64_t streams_ = 0;
};

}  // namespace

Decoder::~Decoder() = default;

Packing packing_of(const File& file) {
  std::array<std::byte, 10> head{};
  const std::size_t got = file.read_some(0, head);
  const bool skip = got >= 4 && (head[0] & std::byte{0xf0}) == std::byte{0x50};
  if (skip && std::memcmp(head.data() + 1, skippable.data(), skippable.size()) == 0) return Packing::zstd;
  for (const auto& [packing, magic] : magics)
    if (got >= magic.size() && std::memcmp(head.data(), magic.data(), magic.size()) == 0) {
      // "BZh" are three letters; the size and the first block's mark, or the end's, follow.
      const bool block = std::memcmp(head.data() + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0;
      const bool last = std::memcmp(head.data() + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0;
      if (packing != Packing::bzip2 || block || last) return packing;
    }
  return Packing::none;
}

std::string_view name_of(Packing packing) {
  constexpr std::array names{"none", "gzip", "xz", "zstd", "bzip2", "zip"};
  return names[static_cast<std::size_t>(packing)];
}

std::unique_ptr<Decoder> decoder_for(const File& file, Packing packing) {
  switch (packing) {
    case Packing::gzip:
      return std::make_unique<GzipDecoder>(file);
    case Packing::xz:
      return std::make_unique<XzDecoder>(file);
    case Packing::zstd:
      return std::make_unique<ZstdDecoder>(file);
    case Packing::bzip2:
      return std::make_unique<Bzip2Decoder>(file);
    case Packing::zip:
      return decode_zip(file);
    case Packing::none:
      break;
  }
  throw invalid(file.path().string() + " is not compressed");
}

}  // namespace kiln::import
