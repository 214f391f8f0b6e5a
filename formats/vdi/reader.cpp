#include "reader.h"

#include <algorithm>
#include <cstring>

namespace kiln::vdi {
namespace {

constexpr std::size_t longest_run = 64;  // blocks; a walk over the disk stays linear in its blocks

}  // namespace

Reader::Reader(File file)
    : file_(std::move(file)), layout_(read_layout(file_)), size_((layout_.disk_size + sector - 1) / sector * sector) {}

Extent Reader::extent_at(std::uint64_t offset) const {
  const std::size_t block = offset / layout_.block_size;
  if (!is_allocated(layout_.map[block])) return {offset, end_of_holes(block) - offset, false};
  // Blocks are allocated as a whole: what nobody wrote to is often a hole of the file.
  const std::uint64_t length = end_of_run(block) - offset;
  const std::uint64_t at = layout_.data_at(block) + offset % layout_.block_size;
  if (const std::uint64_t data = file_.seek(at, true); data > at) return {offset, std::min(data - at, length), false};
  const std::uint64_t hole = file_.seek(at, false);
  return {offset, hole > at ? std::min(hole - at, length) : length, true};
}

// Holes are told in one piece, so that an empty disk of any size is one step.
std::uint64_t Reader::end_of_holes(std::size_t block) const {
  while (block < layout_.map.size() && !is_allocated(layout_.map[block])) ++block;
  return std::min(size_, block * layout_.block_size);
}

// Where the blocks that lie one behind the other in the file end.
std::uint64_t Reader::end_of_run(std::size_t block) const {
  std::size_t end = block + 1;
  if (layout_.block_extra == 0)
    while (end < layout_.map.size() && end - block < longest_run && layout_.map[end] == layout_.map[end - 1] + 1 &&
           is_allocated(layout_.map[end]))
      ++end;
  return std::min(size_, end * layout_.block_size);
}

void Reader::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const std::size_t block = offset / layout_.block_size;
    const std::uint64_t within = offset % layout_.block_size;
    const auto piece = into.first(std::min<std::uint64_t>(into.size(), layout_.block_size - within));
    if (is_allocated(layout_.map[block]))
      file_.read_at(layout_.data_at(block) + within, piece);
    else
      std::memset(piece.data(), 0, piece.size());
    offset += piece.size();
    into = into.subspan(piece.size());
  }
}

}  // namespace kiln::vdi
