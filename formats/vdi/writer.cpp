#include "writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include <kiln/endian.h>
#include <kiln/value.h>

namespace kiln::vdi {
namespace {

constexpr std::uint64_t block_size = 1u << 20;  // VirtualBox's default; QEMU takes no other
constexpr std::uint64_t alignment = 1u << 20;   // VDI_DATA_ALIGN: of block map and data
constexpr std::uint64_t piece = 64 * 1024;      // of the map while it is written
constexpr std::string_view text = "<<< kiln VirtualBox Disk Image >>>\n";

static_assert(block_size == batch_size, "append() takes a batch for a block");

std::uint64_t decide_size(std::uint64_t size) {
  if (size == 0 || size > most_blocks * block_size)
    throw invalid("a disk of " + format_bytes(size) + " does not fit a VDI",
                  "a VDI holds up to " + format_bytes(most_blocks * block_size) + ": use qcow2");
  return (size + sector - 1) / sector * sector;
}

/// A UUID of RFC 9562, version 8 (made by a rule of one's own), in VirtualBox's byte order.
void put_uuid(std::span<std::byte> into, std::span<const std::byte> digest) {
  std::copy_n(digest.begin(), 16, into.begin());
  into[7] = (into[7] & std::byte{0x0f}) | std::byte{0x80};
  into[8] = (into[8] & std::byte{0x3f}) | std::byte{0x80};
}

}  // namespace

Writer::Writer(const std::filesystem::path& file, std::uint64_t size, Type type)
    : made_(file), type_(type), size_(decide_size(size)) {
  map_.assign((size_ + block_size - 1) / block_size, unused_block);
  data_offset_ = (alignment + map_.size() * 4 + alignment - 1) / alignment * alignment;
  if (type_ == dynamic) return;
  for (std::uint32_t& entry : map_) entry = allocated_++;
}

void Writer::append(Encoded& encoded) {
  const Batch& batch = *encoded.batch;
  for (std::size_t c = 0; c < batch.digests.size(); ++c) {
    if (batch.digests[c].is_zero_chunk()) continue;
    std::array<std::byte, 8> at{};
    put_le<std::uint64_t>(at, 0, batch.offset + c * chunk_size);
    identity_.update(at).update(batch.digests[c].bytes);
  }
  if (std::uint32_t& block = map_[batch.offset / block_size]; block == unused_block) block = allocated_++;
}

void Writer::store(Encoded& encoded) {
  const Batch& batch = *encoded.batch;
  const std::uint64_t at = data_offset_ + map_[batch.offset / block_size] * block_size;
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

void Writer::write_header() {
  std::array<std::byte, header_end> h{};
  const auto put = [&](Field field, std::uint64_t value) {
    put_le<std::uint32_t>(h, field, static_cast<std::uint32_t>(value));
  };
  std::memcpy(h.data() + text_at, text.data(), text.size());
  put(signature_at, signature);
  put(version_at, version_1_1);
  put(header_size_at, header_size);
  put(type_at, type_);
  put(map_offset_at, alignment);
  put(data_offset_at, data_offset_);
  put(old_sector_size_at, sector);
  put_le<std::uint64_t>(h, disk_size_at, size_);
  put(block_size_at, block_size);
  put(blocks_at, map_.size());
  put(allocated_at, allocated_);
  put(sector_size_at, sector);
  // VirtualBox opens no file where one of these two is missing.
  const Digest identity = identity_.update(std::to_string(size_)).digest();
  put_uuid(std::span(h).subspan(uuid_at, 16), std::span(identity.bytes).first(16));
  put_uuid(std::span(h).subspan(modified_uuid_at, 16), std::span(identity.bytes).last(16));
  made_.file().write_at(0, h);
}

void Writer::write_map() {
  std::array<std::byte, piece> bytes{};
  for (std::size_t i = 0; i < map_.size();) {
    const std::size_t count = std::min(map_.size() - i, piece / 4);
    for (std::size_t k = 0; k < count; ++k) put_le<std::uint32_t>(bytes, k * 4, map_[i + k]);
    made_.file().write_at(alignment + i * 4, std::span(bytes).first(count * 4));
    i += count;
  }
}

void Writer::finish() {
  made_.file().truncate(data_offset_ + allocated_ * block_size);
  write_header();
  write_map();
  made_.keep();
}

}  // namespace kiln::vdi
