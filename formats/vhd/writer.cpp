#include "writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include <kiln/endian.h>
#include <kiln/value.h>

namespace kiln::vhd {
namespace {

constexpr std::uint64_t block_size = 2u << 20;  // the specification's default; Hyper-V takes no other
constexpr std::uint64_t bitmap_size = block_size / sector / 8;
constexpr std::uint64_t table_at = footer_size + header_size;

// The smallest size that a geometry expresses and that has room for `size`.
std::uint64_t round_to_geometry(std::uint64_t size) {
  for (std::uint64_t asked = size;; asked += sector) {
    const Geometry g = geometry_of(asked);
    if (g.saturated())
      throw invalid("a geometry expresses sizes below 127.5 GiB only, not " + format_bytes(size),
                    "leave size_by at \"current-size\"");
    if (g.bytes() >= size) return g.bytes();
  }
}

std::uint64_t decide_size(std::uint64_t size, bool by_geometry) {
  if (size == 0 || size > largest_disk)
    throw invalid("a disk of " + format_bytes(size) + " does not fit a VHD", "a VHD holds up to 2040 GiB: use qcow2");
  const std::uint64_t whole = (size + sector - 1) / sector * sector;
  return by_geometry ? round_to_geometry(whole) : whole;
}

}  // namespace

Writer::Writer(const std::filesystem::path& file, std::uint64_t size, Settings settings)
    : made_(file), settings_(settings), size_(decide_size(size, settings.by_geometry)) {
  if (!settings_.dynamic) {
    made_.file().truncate(size_ + footer_size);
    return;
  }
  bat_.assign((size_ + block_size - 1) / block_size, unused_block);
  end_ = (table_at + bat_.size() * 4 + sector - 1) / sector * sector;
}

void Writer::append(Encoded& encoded) {
  const Batch& batch = *encoded.batch;
  for (std::size_t c = 0; c < batch.digests.size(); ++c) {
    if (batch.digests[c].is_zero_chunk()) continue;
    std::array<std::byte, 8> at{};
    put_le<std::uint64_t>(at, 0, batch.offset + c * chunk_size);
    identity_.update(at).update(batch.digests[c].bytes);
  }
  if (!settings_.dynamic) return;
  // A block is two batches: aligned, so none crosses its border.
  std::uint32_t& block = bat_[batch.offset / block_size];
  if (block != unused_block) return;
  block = static_cast<std::uint32_t>(end_ / sector);
  end_ += bitmap_size + block_size;
}

std::uint64_t Writer::place(std::uint64_t guest) const {
  if (!settings_.dynamic) return guest;
  return bat_[guest / block_size] * sector + bitmap_size + guest % block_size;
}

void Writer::store(Encoded& encoded) {
  const Batch& batch = *encoded.batch;
  const std::uint64_t at = place(batch.offset);
  for (std::size_t c = 0; c < batch.digests.size();) {
    std::size_t end = c;
    while (end < batch.digests.size() && !batch.digests[end].is_zero_chunk()) ++end;
    if (end > c) {
      const std::uint64_t from = c * chunk_size, to = std::min(end * chunk_size, batch.length);
      made_.file().write_at(at + from, batch.bytes.subspan(from, to - from));
    }
    c = end + 1;
  }
}

Footer Writer::footer() {
  Footer f;
  f.creator = settings_.by_geometry ? "vpc " : "win ";
  f.creator_version = settings_.by_geometry ? 0x00050003 : 0x00060003;
  f.host = "Wi2k";
  f.original_size = f.current_size = size_;
  f.geometry = geometry_of(size_);
  f.type = settings_.dynamic ? dynamic : fixed;
  if (settings_.dynamic) f.data_offset = footer_size;
  const Digest identity = identity_.update(std::to_string(size_)).digest();
  std::copy_n(identity.bytes.begin(), f.uuid.size(), f.uuid.begin());
  f.uuid[6] = (f.uuid[6] & std::byte{0x0f}) | std::byte{0x80};  // RFC 9562: version 8, made by a rule of one's own
  f.uuid[8] = (f.uuid[8] & std::byte{0x3f}) | std::byte{0x80};
  return f;
}

void Writer::write_dynamic_header() {
  std::array<std::byte, header_size> h{};
  std::memcpy(h.data(), "cxsparse", 8);
  put_be<std::uint64_t>(h, 8, ~std::uint64_t{0});
  put_be<std::uint64_t>(h, 16, table_at);
  put_be<std::uint32_t>(h, 24, version_1);
  put_be<std::uint32_t>(h, 28, static_cast<std::uint32_t>(bat_.size()));
  put_be<std::uint32_t>(h, 32, static_cast<std::uint32_t>(block_size));
  put_be<std::uint32_t>(h, 36, checksum(h, 36));
  made_.file().write_at(footer_size, h);
  // Entries past the last block up to the sector's end are unused ones as well.
  std::vector<std::byte> table((bat_.size() * 4 + sector - 1) / sector * sector, std::byte{0xff});
  for (std::size_t i = 0; i < bat_.size(); ++i) put_be<std::uint32_t>(table, i * 4, bat_[i]);
  made_.file().write_at(table_at, table);
}

// Every sector of a block counts as written: what was not is a hole in this file, and reads as zeros.
void Writer::write_bitmaps() {
  std::array<std::byte, bitmap_size> all{};
  all.fill(std::byte{0xff});
  for (const std::uint32_t block : bat_)
    if (block != unused_block) made_.file().write_at(block * sector, all);
}

void Writer::finish() {
  const auto bytes = footer().encode();
  if (settings_.dynamic) {
    made_.file().write_at(0, bytes);
    write_dynamic_header();
    write_bitmaps();
    made_.file().write_at(end_, bytes);
  } else {
    made_.file().write_at(size_, bytes);
  }
  made_.keep();
}

}  // namespace kiln::vhd
