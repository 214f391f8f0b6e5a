#include "reader.h"

#include <algorithm>
#include <cstring>

namespace kiln::vhdx {
namespace {

constexpr std::uint64_t longest_run = 64;  // blocks of data that are told in one piece

}  // namespace

Extent Reader::extent_at(std::uint64_t offset) const {
  const std::uint64_t block = offset / layout_.block_size, within = offset % layout_.block_size;
  const Run run = bat_.find(block, longest_run);
  const std::uint64_t length = std::min(run.blocks * layout_.block_size - within, layout_.disk_size - offset);
  if (run.at == 0) return {offset, length, false};
  // Blocks are allocated as a whole: what nobody wrote to is often a hole of the file.
  if (const std::uint64_t hole = container_.hole_at(run.at + within, length); hole != 0) return {offset, hole, false};
  return {offset, container_.data_at(run.at + within, length), true};
}

void Reader::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const std::uint64_t within = offset % layout_.block_size;
    const Run run = bat_.find(offset / layout_.block_size, into.size() / layout_.block_size + 1);
    const auto piece = into.first(std::min<std::uint64_t>(into.size(), run.blocks * layout_.block_size - within));
    if (run.at == 0)
      std::memset(piece.data(), 0, piece.size());
    else
      container_.read_at(run.at + within, piece);
    offset += piece.size();
    into = into.subspan(piece.size());
  }
}

}  // namespace kiln::vhdx
