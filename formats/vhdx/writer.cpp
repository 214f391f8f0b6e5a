#include "writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <kiln/endian.h>
#include <kiln/value.h>

#include "checksum.h"

namespace kiln::vhdx {
namespace {

constexpr std::uint64_t log_at = 1 * mib, log_size = 1 * mib;
constexpr std::uint64_t metadata_at = 2 * mib, metadata_size = 1 * mib;
constexpr std::uint64_t table_at = 3 * mib;
constexpr std::uint32_t logical_sector = 512, physical_sector = 4096;
constexpr std::uint64_t usual_most_blocks = 4u << 20;  // 16 MiB in memory, 32 MiB in the file
constexpr std::string_view creator = "kiln";

// The smallest blocks make the smallest files, above all where holes are lost on the way, and are what Microsoft
// advises for the file systems of Linux. Larger ones only keep the table of a large disk small.
std::uint64_t decide_block_size(std::uint64_t asked, std::uint64_t size) {
  if (asked == 0) {
    asked = smallest_block;
    while (size / asked > usual_most_blocks) asked *= 2;
    return asked;
  }
  if (!std::has_single_bit(asked) || asked < smallest_block || asked > largest_block)
    throw invalid("block_size " + std::to_string(asked) + " is not a power of two from 1M to 256M",
                  "leave it out, or write for example block_size = \"8M\"");
  return asked;
}

std::uint64_t decide_size(std::uint64_t size) {
  if (size == 0 || size > largest_disk)
    throw invalid("a disk of " + format_bytes(size) + " does not fit a VHDX", "a VHDX holds up to 64 TiB: use qcow2");
  return (size + logical_sector - 1) / logical_sector * logical_sector;
}

void put(std::span<std::byte> into, std::size_t at, std::string_view text) {
  std::memcpy(into.data() + at, text.data(), text.size());
}
void put(std::span<std::byte> into, std::size_t at, const Guid& id) {
  std::ranges::copy(id, into.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

Writer::Writer(const std::filesystem::path& file, std::uint64_t size, std::uint64_t block_size)
    : block_size_(decide_block_size(block_size, size)),
      size_(decide_size(size)),
      chunk_ratio_((std::uint64_t{1} << 23) * logical_sector / block_size_),
      made_(file) {
  blocks_.assign((size_ + block_size_ - 1) / block_size_, 0);
  table_size_ = ((entry_of(blocks_.size() - 1) + 1) * 8 + alignment - 1) / alignment * alignment;
  end_ = table_at + table_size_;
}

void Writer::append(Encoded& encoded) {
  const Batch& batch = *encoded.batch;
  for (std::size_t c = 0; c < batch.digests.size(); ++c) {
    if (batch.digests[c].is_zero_chunk()) continue;
    std::array<std::byte, 8> at{};
    put_le<std::uint64_t>(at, 0, batch.offset + c * chunk_size);
    hasher_.update(at).update(batch.digests[c].bytes);
  }
  // A block is one batch or more: aligned, so none crosses its border.
  std::uint32_t& block = blocks_[batch.offset / block_size_];
  if (block != 0) return;
  block = static_cast<std::uint32_t>(end_ / mib);
  end_ += block_size_;
}

void Writer::store(Encoded& encoded) {
  const Batch& batch = *encoded.batch;
  const std::uint64_t at = blocks_[batch.offset / block_size_] * mib + batch.offset % block_size_;
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

Guid Writer::make_guid(std::string_view purpose) const {
  const Digest digest = Hasher().update(identity_.bytes).update(purpose).digest();
  Guid id{};
  std::copy_n(digest.bytes.begin(), id.size(), id.begin());
  id[7] = (id[7] & std::byte{0x0f}) | std::byte{0x80};  // RFC 9562: version 8, made by a rule of one's own
  id[8] = (id[8] & std::byte{0x3f}) | std::byte{0x80};
  return id;
}

// Both headers hold; the second one, with the greater number, counts. No log is in use.
void Writer::write_headers() {
  std::array<std::byte, 8 + 2 * creator.size()> identifier{};
  put(identifier, 0, "vhdxfile");
  for (std::size_t i = 0; i < creator.size(); ++i)
    put_le<std::uint16_t>(identifier, 8 + i * 2, static_cast<std::uint16_t>(creator[i]));
  made_.file().write_at(0, identifier);
  for (std::size_t i = 0; i < 2; ++i) {
    std::array<std::byte, header_size> h{};
    put(h, 0, "head");
    put_le<std::uint64_t>(h, 8, i + 1);
    put(h, 16, make_guid("file"));
    put(h, 32, make_guid("data"));
    put_le<std::uint16_t>(h, 66, 1);
    put_le<std::uint32_t>(h, 68, static_cast<std::uint32_t>(log_size));
    put_le<std::uint64_t>(h, 72, log_at);
    put_le<std::uint32_t>(h, checksum_at, checksum(h));
    made_.file().write_at(header_at[i], h);
  }
}

void Writer::write_regions() {
  std::vector<std::byte> table(region_table_size);
  put(table, 0, "regi");
  put_le<std::uint32_t>(table, 8, 2);
  const auto entry = [&](std::size_t at, const Guid& id, std::uint64_t start, std::uint64_t length) {
    put(table, at, id);
    put_le<std::uint64_t>(table, at + 16, start);
    put_le<std::uint32_t>(table, at + 24, static_cast<std::uint32_t>(length));
    put_le<std::uint32_t>(table, at + 28, 1);
  };
  entry(16, bat_region, table_at, table_size_);
  entry(48, metadata_region, metadata_at, metadata_size);
  put_le<std::uint32_t>(table, checksum_at, checksum(table));
  for (const std::uint64_t at : region_table_at) made_.file().write_at(at, table);
}

void Writer::write_metadata() {
  constexpr std::uint64_t items_at = 64 * kib;
  std::array<std::byte, 192> table{};
  std::array<std::byte, 40> items{};
  std::size_t count = 0, used = 0;
  const auto item = [&](const Guid& id, std::size_t length, std::uint32_t flags) {
    const std::size_t at = 32 + 32 * count++;
    put(table, at, id);
    put_le<std::uint32_t>(table, at + 16, static_cast<std::uint32_t>(items_at + used));
    put_le<std::uint32_t>(table, at + 20, static_cast<std::uint32_t>(length));
    put_le<std::uint32_t>(table, at + 24, flags);
    used += length;
    return used - length;
  };
  put_le<std::uint32_t>(items, item(file_parameters, 8, is_required), static_cast<std::uint32_t>(block_size_));
  put_le<std::uint64_t>(items, item(virtual_disk_size, 8, is_virtual_disk | is_required), size_);
  put(items, item(virtual_disk_id, 16, is_virtual_disk | is_required), make_guid("disk"));
  put_le<std::uint32_t>(items, item(logical_sector_size, 4, is_virtual_disk | is_required), logical_sector);
  put_le<std::uint32_t>(items, item(physical_sector_size, 4, is_virtual_disk | is_required), physical_sector);
  put(table, 0, "metadata");
  put_le<std::uint16_t>(table, 10, static_cast<std::uint16_t>(count));
  made_.file().write_at(metadata_at, table);
  made_.file().write_at(metadata_at + items_at, items);
}

// The entries of sector bitmaps, in between, stay zero.
void Writer::write_table() {
  constexpr std::size_t piece = 8192;
  std::vector<std::byte> bytes;
  for (std::uint64_t first = 0; first < blocks_.size(); first += piece) {
    const std::uint64_t end = std::min<std::uint64_t>(first + piece, blocks_.size()), from = entry_of(first);
    bytes.assign((entry_of(end - 1) + 1 - from) * 8, std::byte{0});
    for (std::uint64_t i = first; i < end; ++i)
      put_le<std::uint64_t>(bytes, (entry_of(i) - from) * 8, blocks_[i] != 0 ? blocks_[i] * mib | fully_present : zero);
    made_.file().write_at(table_at + from * 8, bytes);
  }
}

void Writer::finish() {
  identity_ = hasher_.update(std::to_string(size_)).digest();
  made_.file().truncate(end_);
  write_regions();
  write_metadata();
  write_table();
  write_headers();
  made_.keep();
}

}  // namespace kiln::vhdx
