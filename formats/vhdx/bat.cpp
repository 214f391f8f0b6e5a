#include "bat.h"

#include <algorithm>

#include <kiln/endian.h>

namespace kiln::vhdx {
namespace {

constexpr std::uint64_t piece_blocks = 8192;  // 64 KiB of the table
constexpr std::uint64_t state_bits = 7, reserved_bits = 0xffff8;

std::string name_of(std::uint64_t block, std::uint64_t entry) {
  return "VHDX block allocation table, block " + std::to_string(block) + " of the disk is " + hex(entry);
}

}  // namespace

Bat::Bat(const Container& container, const Layout& layout) : container_(container), layout_(layout) {
  check();
}

void Bat::check() {
  if (container_.size() > largest_file)
    throw damaged(container_.file(),
                  "a file of " + std::to_string(container_.size()) + " bytes is longer than any VHDX can be",
                  code::disk_too_large);
  std::vector<bool> taken((container_.size() + alignment - 1) / alignment);  // one bit per MiB
  for (const Region& region : layout_.structures)
    std::fill(taken.begin() + static_cast<std::ptrdiff_t>(region.start / alignment),
              taken.begin() + static_cast<std::ptrdiff_t>(region.end / alignment), true);
  for (std::uint64_t first = 0; first < layout_.blocks(); first += piece_blocks) {
    const Piece blocks = load(first / piece_blocks);
    for (std::uint64_t i = 0; i < blocks.size(); ++i)
      if (blocks[i] != 0) {
        mark(taken, first + i, blocks[i]);
        ++allocated_;
      }
  }
}

// A block's last MiB, or less, may be missing in the file where the disk ends before the block does.
void Bat::mark(std::vector<bool>& taken, std::uint64_t block, std::uint64_t at) const {
  const std::uint64_t end = std::min(at + layout_.block_size, taken.size() * alignment);
  for (std::uint64_t i = at / alignment; i < end / alignment; ++i) {
    if (!taken[i]) {
      taken[i] = true;
      continue;
    }
    std::string other = "another block";
    for (const Region& region : layout_.structures)
      if (i * alignment >= region.start && i * alignment < region.end) other = "the " + region.name;
    throw damaged(container_.file(),
                  "VHDX block allocation table, block " + std::to_string(block) + " of the disk lies at byte " +
                      std::to_string(at) + ", on " + other,
                  code::overlap);
  }
}

std::uint64_t Bat::used_bytes(std::uint64_t block) const {
  return std::min(layout_.block_size, layout_.disk_size - block * layout_.block_size);
}

Bat::Piece Bat::load(std::uint64_t key) const {
  const std::uint64_t first = key * piece_blocks, count = std::min(piece_blocks, layout_.blocks() - first);
  const std::uint64_t from = layout_.entry_of(first), to = layout_.entry_of(first + count - 1) + 1;
  const std::uint64_t at = layout_.bat.start + from * 8, length = (to - from) * 8;
  Piece piece(count);
  if (container_.hole_at(at, length) == length) return piece;
  std::vector<std::byte> bytes(length);
  container_.read_at(at, bytes);
  for (std::uint64_t i = 0; i < count; ++i)
    piece[i] = decode(first + i, get_le<std::uint64_t>(bytes, (layout_.entry_of(first + i) - from) * 8));
  return piece;
}

std::uint64_t Bat::decode(std::uint64_t block, std::uint64_t entry) const {
  switch (entry & state_bits) {
    case not_present:
    case undefined:
    case zero:
    case unmapped:
      return 0;
    case fully_present:
      break;
    case partially_present:
      throw damaged(container_.file(), name_of(block, entry) + ": partially present, but the disk has no parent");
    default:
      throw damaged(container_.file(), name_of(block, entry) + ": an unknown state", code::unsupported);
  }
  const std::uint64_t at = entry & ~(state_bits | reserved_bits);
  if ((entry & reserved_bits) != 0) throw damaged(container_.file(), name_of(block, entry) + ": reserved bits are set");
  if (at < header_section)
    throw damaged(container_.file(), name_of(block, entry) + ": it lies on the VHDX header section", code::overlap);
  if (at > container_.size() || used_bytes(block) > container_.size() - at)
    throw truncated(container_.file(), name_of(block, entry) + ": it", at > INT64_MAX ? at : at + used_bytes(block));
  return at;
}

std::shared_ptr<const Bat::Piece> Bat::piece(std::uint64_t key) const {
  {
    const std::scoped_lock lock(mutex_);
    for (Slot& slot : slots_)
      if (slot.key == key) {
        slot.used = ++clock_;
        return slot.piece;
      }
  }
  auto fresh = std::make_shared<const Piece>(load(key));
  const std::scoped_lock lock(mutex_);
  Slot& oldest =
      *std::min_element(slots_.begin(), slots_.end(), [](const Slot& a, const Slot& b) { return a.used < b.used; });
  oldest = {key, ++clock_, fresh};
  return fresh;
}

Run Bat::find(std::uint64_t block, std::uint64_t most) const {
  const std::shared_ptr<const Piece> blocks = piece(block / piece_blocks);
  const std::uint64_t first = block % piece_blocks;
  Run run{(*blocks)[first], 1};
  while (first + run.blocks < blocks->size() && (run.at == 0 || run.blocks < most)) {
    const std::uint64_t next = (*blocks)[first + run.blocks];
    if (run.at == 0 ? next != 0 : next != run.at + run.blocks * layout_.block_size) break;
    ++run.blocks;
  }
  return run;
}

}  // namespace kiln::vhdx
