#include "reader.h"

#include <algorithm>
#include <cstring>

namespace kiln::vhd {
namespace {

// More than any geometry's rounding (a cylinder is at most 16 * 255 sectors): not a rounding, then.
constexpr std::uint64_t most_rounding = 2u << 20;

bool bit(std::span<const std::byte> bitmap, std::uint64_t n) {
  return (bitmap[n / 8] & std::byte{0x80} >> (n % 8)) != std::byte{0};
}

bool zeros(std::span<const std::byte> bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

Reader::Reader(File file)
    : file_(std::move(file)), layout_(read_layout(file_)), size_(layout_.capacity), states_(layout_.bat.size()) {
  decide_size();
}

void Reader::decide_size() {
  const std::uint64_t current = layout_.footer.current_size, geometry = layout_.footer.geometry.bytes();
  std::uint64_t size = current;
  if (size_rule(layout_.footer) == SizeRule::geometry && geometry <= layout_.capacity &&
      (geometry >= current || zeros_between(geometry, current))) {
    size = geometry;
    sized_by_ = SizeRule::geometry;
  }
  if (layout_.is_fixed() && !zeros_between(std::max(size, current), layout_.data_end))
    throw damaged(file_, "footer, bytes 48..55: a disk of " + std::to_string(current) + " bytes, but the file holds " +
                             std::to_string(layout_.data_end));
  size_ = size;
}

bool Reader::zeros_between(std::uint64_t from, std::uint64_t to) const {
  if (to - from > most_rounding) return false;
  std::vector<std::byte> bytes(to - from);
  read(from, bytes);
  return zeros(bytes);
}

Extent Reader::extent_at(std::uint64_t offset) const {
  if (layout_.is_fixed()) return fixed_extent(offset);
  const std::size_t block = offset / layout_.block_size;
  const std::uint64_t block_end = std::min(size_, (block + 1) * std::uint64_t{layout_.block_size});
  if (layout_.bat[block] == unused_block) return {offset, end_of_holes(block) - offset, false};
  if (is_full(block)) return {offset, block_end - offset, true};
  return partial_extent(block, offset, block_end);
}

Extent Reader::fixed_extent(std::uint64_t offset) const {
  const std::uint64_t data = std::min(file_.seek(offset, true), size_);
  if (data > offset) return {offset, data - offset, false};
  return {offset, std::clamp(file_.seek(offset, false), offset + 1, size_) - offset, true};
}

Extent Reader::partial_extent(std::size_t block, std::uint64_t offset, std::uint64_t block_end) const {
  const std::vector<std::byte> written = bitmap(block);
  const std::uint64_t start = block * std::uint64_t{layout_.block_size};
  std::uint64_t n = (offset - start) / sector;
  const bool data = bit(written, n);
  while (start + n * sector < block_end && bit(written, n) == data) ++n;
  return {offset, std::min(start + n * sector, block_end) - offset, data};
}

// Holes are told in one piece, so that an empty disk of any size is one step. Data is told block by block: who walks
// over it comes back anyway.
std::uint64_t Reader::end_of_holes(std::size_t block) const {
  while (block < layout_.bat.size() && layout_.bat[block] == unused_block) ++block;
  return std::min(size_, block * std::uint64_t{layout_.block_size});
}

std::vector<std::byte> Reader::bitmap(std::size_t block) const {
  std::vector<std::byte> bytes(layout_.bitmap_size);
  file_.read_at(layout_.bat[block] * sector, bytes);
  return bytes;
}

bool Reader::is_full(std::size_t block) const {
  const std::uint8_t known = states_[block].load(std::memory_order_relaxed);
  if (known != unread) return known == full;
  const std::uint64_t bytes =
      std::min<std::uint64_t>(layout_.block_size, layout_.capacity - block * std::uint64_t{layout_.block_size});
  const std::vector<std::byte> written = bitmap(block);
  bool all = true;
  for (std::uint64_t n = 0; all && n * sector < bytes; ++n) all = bit(written, n);
  states_[block].store(all ? full : partial, std::memory_order_relaxed);
  return all;
}

void Reader::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (layout_.is_fixed()) return file_.read_at(offset, into);
  while (!into.empty()) {
    const std::size_t block = offset / layout_.block_size;
    const std::uint64_t within = offset % layout_.block_size;
    const auto piece = into.first(std::min<std::uint64_t>(into.size(), layout_.block_size - within));
    if (layout_.bat[block] == unused_block)
      std::memset(piece.data(), 0, piece.size());
    else
      read_block(block, within, piece);
    offset += piece.size();
    into = into.subspan(piece.size());
  }
}

void Reader::read_block(std::size_t block, std::uint64_t within, std::span<std::byte> into) const {
  file_.read_at(data_at(block) + within, into);
  if (is_full(block)) return;
  const std::vector<std::byte> written = bitmap(block);
  for (std::uint64_t at = 0; at < into.size();) {
    const std::uint64_t n = (within + at) / sector;
    const std::uint64_t length = std::min<std::uint64_t>((n + 1) * sector - within - at, into.size() - at);
    if (!bit(written, n)) std::memset(into.data() + at, 0, length);
    at += length;
  }
}

}  // namespace kiln::vhd
