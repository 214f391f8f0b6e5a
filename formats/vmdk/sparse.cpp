#include "sparse.h"

#include <libdeflate.h>

#include <algorithm>
#include <cstring>
#include <new>

#include <kiln/endian.h>

namespace kiln::vmdk {
namespace {

/// "Grain Marker": the grain's first sector of the disk, the size of the stream that follows.
constexpr std::uint64_t marker_size = 12;
/// What is read at once of compressed grains.
constexpr std::uint64_t most_stored = 2u << 20;
/// Tables that run_at() looks through.
constexpr std::uint64_t enough_data = 4, enough_holes = 64;

}  // namespace

/// Looks up grains one after the other.
class Sparse::Cursor {
 public:
  explicit Cursor(const Sparse& extent) : extent_(extent) {}

  /// The grain's entry; 0 where there is none.
  std::uint32_t at(std::uint64_t grain) {
    const std::uint64_t number = grain / extent_.header_.table_entries;
    if (number != number_) {
      number_ = number;
      table_ = extent_.tables_.table(number);
    }
    return table_ ? (*table_)[grain % extent_.header_.table_entries] : 0;
  }
  bool is_zero(std::uint64_t grain) { return extent_.header_.is_zero(at(grain)); }

 private:
  const Sparse& extent_;
  std::uint64_t number_ = UINT64_MAX;
  std::shared_ptr<const Table> table_;
};

/// Keeps its last grain: it may be asked for in several steps.
struct Sparse::Decoder {
  Decoder() : deflate(libdeflate_alloc_decompressor()) {
    if (deflate == nullptr) throw std::bad_alloc();
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { libdeflate_free_decompressor(deflate); }

  libdeflate_decompressor* deflate;
  std::vector<std::byte> stored, alone, grain;
  std::uint64_t holds = UINT64_MAX;
};

Sparse::Sparse(File file)
    : file_(std::move(file)), header_(read_header(file_)), tables_(file_, header_), claims_(tables_.check()) {
  if (header_.is_compressed())
    check_last_grain();
  else
    claims_.reset();
}

Sparse::~Sparse() = default;

/// A file without a footer that lacks its end would be found out by whoever reads the last grains.
void Sparse::check_last_grain() const {
  const std::uint32_t start = tables_.last_start();
  if (start == 0) return;
  std::array<std::byte, marker_size> marker{};
  const std::uint64_t at = start * sector, size = file_.size();
  const bool has_marker = file_.read_some(at, marker) == marker.size();
  const std::uint64_t end = at + marker_size + get_le<std::uint32_t>(marker, 8);
  if (!has_marker || end > size) throw truncated(file_, "the last grain of the VMDK, at byte " + hex(at) + ",", end);
}

Sparse::Run Sparse::run_at(std::uint64_t offset) const {
  Cursor cursor(*this);
  const std::uint64_t first = offset / header_.grain_bytes(), tables = header_.table_entries;
  const bool data = !cursor.is_zero(first);
  const std::uint64_t some = (first / tables + (data ? enough_data : enough_holes)) * tables;
  std::uint64_t grain = first + 1;
  while (grain < count()) {
    const bool absent = !tables_.has_table(grain / tables);
    if (!absent && grain >= some) break;
    if ((absent || cursor.is_zero(grain)) == data) break;
    grain = absent ? (grain / tables + 1) * tables : grain + 1;
  }
  return {data, std::min(grain * header_.grain_bytes(), size()) - offset};
}

void Sparse::read(std::uint64_t offset, std::span<std::byte> into) const {
  Cursor cursor(*this);
  while (!into.empty()) {
    std::size_t done = 0;
    if (cursor.is_zero(offset / header_.grain_bytes())) {
      done = static_cast<std::size_t>(
          std::min<std::uint64_t>(into.size(), header_.grain_bytes() - offset % header_.grain_bytes()));
      std::memset(into.data(), 0, done);
    } else {
      done = header_.is_compressed() ? read_packed(cursor, offset, into) : read_plain(cursor, offset, into);
    }
    offset += done;
    into = into.subspan(done);
  }
}

/// Grains that lie behind each other. Returns the number of bytes.
std::size_t Sparse::read_plain(Cursor& cursor, std::uint64_t offset, std::span<std::byte> into) const {
  const std::uint64_t size = header_.grain_bytes(), within = offset % size, first = offset / size;
  const std::uint64_t start = cursor.at(first);
  std::uint64_t length = size - within;
  for (std::uint64_t n = 1; length < into.size() && cursor.at(first + n) == start + n * header_.grain; ++n)
    length += size;
  const auto part = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(length, into.size())));
  file_.read_at(start * sector + within, part);
  return part.size();
}

/// Grains that come one after the other in the file, by one read. Returns the number of bytes.
std::size_t Sparse::read_packed(Cursor& cursor, std::uint64_t offset, std::span<std::byte> into) const {
  const std::uint64_t size = header_.grain_bytes(), within = offset % size, first = offset / size;
  const std::uint64_t wanted = (within + into.size() + size - 1) / size;
  std::vector<std::uint32_t> starts;
  // One more than wanted, where there is one: it tells where the last one ends.
  for (std::uint64_t n = 0; n <= wanted && first + n < count(); ++n) {
    const std::uint32_t start = cursor.at(first + n);
    if (header_.is_zero(start)) break;
    if (n != 0 && (start <= starts.back() || start - starts.back() > 2 * header_.grain ||
                   (start - starts.front()) * sector > most_stored))
      break;
    starts.push_back(start);
  }
  const bool known_end = starts.size() > 1;
  const std::uint64_t from = starts.front() * sector;
  const std::uint64_t to = known_end ? starts.back() * sector : from + marker_size + size;
  if (known_end) starts.pop_back();
  auto decoder = take_decoder(first);
  if (starts.size() != 1 || decoder->holds != first) {
    decoder->stored.resize(static_cast<std::size_t>(to - from));
    decoder->stored.resize(file_.read_some(from, decoder->stored));
  }
  std::size_t done = 0;
  for (std::size_t n = 0; n < starts.size() && done < into.size(); ++n) {
    const std::uint64_t skip = n == 0 ? within : 0;
    const auto part = into.subspan(done, std::min<std::size_t>(into.size() - done, size - skip));
    const std::size_t at = std::min<std::size_t>((starts[n] - starts[0]) * sector, decoder->stored.size());
    decode(*decoder, first + n, starts[n], std::span(decoder->stored).subspan(at), skip, part);
    done += part.size();
  }
  give_back(std::move(decoder));
  return done;
}

void Sparse::decode(Decoder& decoder, std::uint64_t grain, std::uint32_t start, std::span<const std::byte> stored,
                    std::uint64_t within, std::span<std::byte> into) const {
  if (into.size() == header_.grain_bytes() && decoder.holds != grain)
    return inflate(decoder, grain, start, stream_of(decoder, grain, start, stored), into);
  if (decoder.holds != grain) {
    decoder.holds = UINT64_MAX;
    decoder.grain.resize(static_cast<std::size_t>(header_.grain_bytes()));
    inflate(decoder, grain, start, stream_of(decoder, grain, start, stored), decoder.grain);
    decoder.holds = grain;
  }
  std::memcpy(into.data(), decoder.grain.data() + within, into.size());
}

/// What follows the grain's marker. `stored` begins with the marker, and may be too short.
std::span<const std::byte> Sparse::stream_of(Decoder& decoder, std::uint64_t grain, std::uint32_t start,
                                             std::span<const std::byte> stored) const {
  std::array<std::byte, marker_size> marker{};
  if (stored.size() < marker.size())
    file_.read_at(start * sector, marker);
  else
    std::copy_n(stored.begin(), marker.size(), marker.begin());
  const auto lba = get_le<std::uint64_t>(marker, 0);
  const std::uint64_t length = get_le<std::uint32_t>(marker, 8);
  if (lba != grain * header_.grain)
    throw bad_grain(grain, start, "its marker says sector " + std::to_string(lba) + " of the disk");
  if (length == 0 || length > 2 * header_.grain_bytes())
    throw bad_grain(grain, start, "its marker says that " + std::to_string(length) + " bytes follow");
  if (claims_ && claims_->any(start + std::uint64_t{1}, (marker_size + length - 1) / sector))
    throw damaged(file_,
                  "the VMDK grain of disk offset " + hex(grain * header_.grain_bytes()) + ", at byte " +
                      hex(start * sector) + ", overlaps metadata or another grain",
                  code::overlap);
  if (stored.size() >= marker_size + length) return stored.subspan(marker_size, static_cast<std::size_t>(length));
  decoder.alone.resize(static_cast<std::size_t>(length));
  file_.read_at(start * sector + marker_size, decoder.alone);
  return decoder.alone;
}

void Sparse::inflate(Decoder& decoder, std::uint64_t grain, std::uint32_t start, std::span<const std::byte> stream,
                     std::span<std::byte> into) const {
  std::size_t got = 0;
  const auto result =
      libdeflate_zlib_decompress(decoder.deflate, stream.data(), stream.size(), into.data(), into.size(), &got);
  // The last grain may hold the rest of the disk alone.
  const std::uint64_t needed = std::min(header_.grain_bytes(), size() - grain * header_.grain_bytes());
  if (result != LIBDEFLATE_SUCCESS || got < needed)
    throw bad_grain(grain, start, "it does not decode to " + std::to_string(needed) + " bytes");
}

std::unique_ptr<Sparse::Decoder> Sparse::take_decoder(std::uint64_t grain) const {
  const std::scoped_lock lock(mutex_);
  if (decoders_.empty()) return std::make_unique<Decoder>();
  for (auto& one : decoders_)
    if (one->holds == grain) std::swap(one, decoders_.back());
  auto decoder = std::move(decoders_.back());
  decoders_.pop_back();
  return decoder;
}

void Sparse::give_back(std::unique_ptr<Decoder> decoder) const {
  const std::scoped_lock lock(mutex_);
  decoders_.push_back(std::move(decoder));
}

Error Sparse::bad_grain(std::uint64_t grain, std::uint32_t start, const std::string& what) const {
  return damaged(file_, "the VMDK grain of disk offset " + hex(grain * header_.grain_bytes()) + ", at byte " +
                            hex(start * sector) + ": " + what);
}

}  // namespace kiln::vmdk
