#include "support/disks.h"

#include <kiln/hash.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace kiln::test {
namespace {

constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB;
using K = Piece::Kind;

// A run that ends where the disk does, `length` long.
DiskShape ends_with(std::string name, std::uint64_t size, std::uint64_t length, K kind) {
  return {std::move(name), size, {{size - length, length, kind}}};
}

std::uint64_t next(std::uint64_t& state) {  // splitmix64
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

std::vector<DiskShape> sample_disks(bool odd_sizes) {
  std::vector<DiskShape> shapes{
      {"empty", 64 * MiB, {}},
      {"one-sector", 512, {{0, 512, K::random}}},
      {"full", 8 * MiB, {{0, 8 * MiB, K::random}}},
      {"text", 8 * MiB, {{0, 8 * MiB, K::text}}},
      {"written-zeros", 6 * MiB, {{0, 6 * MiB, K::zeros}}},
      {"sparse", 3 * GiB, {{0, 512, K::random}, {5 * MiB + 512, 3 * MiB, K::text}, {2 * GiB - 4 * KiB, 8 * KiB}}},
      {"mixed", 20 * MiB, {{0, MiB, K::text}, {MiB, 2 * MiB, K::zeros}, {3 * MiB, 64 * KiB}, {17 * MiB, 3 * MiB}}},
      {"islands", 40 * MiB, {}},
  };
  for (std::uint64_t at = 0; at < 40 * MiB; at += 2 * MiB + 68 * KiB + 512)
    shapes.back().pieces.push_back({at, 512 + at % 4096, at % 1024 == 0 ? K::random : K::text});
  shapes.push_back(ends_with("last-partial-chunk", 10 * MiB + 5 * 512, 3 * 512, K::random));
  shapes.push_back(ends_with("last-partial-block", 33 * MiB + 64 * KiB + 512, 70 * KiB, K::text));
  shapes.push_back(ends_with("full-partial-block", 3 * MiB + 512, 3 * MiB + 512, K::random));
  if (odd_sizes) {
    shapes.push_back(ends_with("one-byte", 1, 1, K::random));
    shapes.push_back(ends_with("odd", 5 * MiB + 777, 1000, K::random));
    shapes.push_back({"odd-empty", 5 * MiB + 1, {}});
  }
  return shapes;
}

void fill(std::span<std::byte> into, K kind, std::uint64_t seed) {
  static constexpr std::array words{"disk ", "image ", "kernel ", "the ", "of ", "boot ", "=", "\n", "0x", "root "};
  if (kind == K::zeros) std::ranges::fill(into, std::byte{0});
  if (kind == K::zeros) return;
  for (std::size_t at = 0; at < into.size();) {
    const std::uint64_t value = next(seed);
    std::array<char, 8> bytes{};
    std::memcpy(bytes.data(), &value, 8);
    std::string_view piece(bytes.data(), 8);
    if (kind == K::text && value % 4 != 0) piece = words[(value >> 8) % words.size()];
    const std::size_t n = std::min(piece.size(), into.size() - at);
    std::memcpy(into.data() + at, piece.data(), n);
    at += n;
  }
}

void write_raw(const std::filesystem::path& path, const DiskShape& shape, std::uint64_t seed) {
  File file = File::create(path);
  file.truncate(shape.size);
  std::vector<std::byte> buffer;
  for (const Piece& piece : shape.pieces) {
    const std::uint64_t length = std::min(piece.length, shape.size - piece.offset);
    buffer.resize(length);
    fill(buffer, piece.kind, seed * 1000003 + piece.offset);
    file.write_at(piece.offset, buffer);
  }
}

testing::AssertionResult same_as_raw(const BlockReader& reader, const std::filesystem::path& raw) {
  const RawDisk expected(raw);
  if (reader.size() != expected.size())
    return testing::AssertionFailure() << "size is " << reader.size() << ", not " << expected.size();
  std::vector<std::byte> got(MiB), want(MiB);
  for (std::uint64_t at = 0; at < reader.size();) {
    const Extent extent = reader.extent_at(at);
    if (extent.offset != at || extent.length == 0 || extent.length > reader.size() - at)
      return testing::AssertionFailure() << "bad extent at " << at << ": " << extent.offset << "+" << extent.length;
    const Extent hole = expected.extent_at(at);
    if (!extent.data && !hole.data) {  // nothing on either side
      at += std::min(extent.length, hole.length);
      continue;
    }
    const std::size_t n = std::min({extent.length, hole.length, std::uint64_t{MiB}});
    reader.read(at, std::span(got).first(n));
    expected.read(at, std::span(want).first(n));
    if (std::memcmp(got.data(), want.data(), n) != 0) {
      const auto differ = std::mismatch(got.begin(), got.end(), want.begin()).first - got.begin();
      return testing::AssertionFailure() << "content differs at byte " << at + static_cast<std::uint64_t>(differ);
    }
    if (!extent.data && !all_zero(std::span(want).first(n)))
      return testing::AssertionFailure() << "data is called a hole at " << at;
    at += n;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult same_files(const std::filesystem::path& a, const std::filesystem::path& b) {
  return same_as_raw(RawDisk(a), b);
}

Extent RawDisk::extent_at(std::uint64_t offset) const {
  const std::uint64_t data = std::min(file_.seek(offset, true), size_);
  if (data > offset) return {offset, data - offset, false, false};
  return {offset, std::min(file_.seek(offset, false), size_) - offset, true, false};
}

void copy_disk(const BlockReader& reader, BlockSink& sink, bool finish) {
  for (std::uint64_t at = 0; at < reader.size(); at += batch_size) {
    if (const Extent extent = reader.extent_at(at); !extent.data && extent.length >= batch_size) {
      at += extent.length / batch_size * batch_size - batch_size;
      continue;
    }
    const std::uint64_t length = std::min(batch_size, reader.size() - at);
    auto bytes = std::make_shared<std::vector<std::byte>>((length + chunk_size - 1) / chunk_size * chunk_size);
    reader.read(at, std::span(*bytes).first(length));
    if (all_zero(*bytes)) continue;
    auto digests = std::make_shared<std::vector<Digest>>();
    for (std::size_t c = 0; c < bytes->size(); c += chunk_size) {
      const auto chunk = std::span<const std::byte>(*bytes).subspan(c, chunk_size);
      digests->push_back(all_zero(chunk) ? Digest{} : sha256(chunk));
    }
    const std::shared_ptr<const Batch> batch(new Batch{at, length, *bytes, *digests},
                                             [bytes, digests](const Batch* b) { delete b; });
    const std::unique_ptr<Encoded> encoded = sink.encode(batch);
    sink.append(*encoded);
    sink.store(*encoded);
  }
  if (finish) sink.finish();
}

void flip_byte(const std::filesystem::path& path, std::uint64_t offset, std::uint8_t mask) {
  File file = File::open_write(path);
  std::array<std::byte, 1> byte{};
  file.read_at(offset, byte);
  byte[0] ^= std::byte{mask};
  file.write_at(offset, byte);
}

void cut_file(const std::filesystem::path& path, std::uint64_t size) {
  std::filesystem::resize_file(path, size);
}

}  // namespace kiln::test
