#pragma once
// The disk inside of a VHD.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <kiln/block.h>

#include "layout.h"

namespace kiln::vhd {

/// Reads a fixed or a dynamic VHD. A sector that a block's bitmap calls never written reads as zeros, whatever lies
/// in the file ("Block Allocation Table and Data Blocks").
///
/// The size: `current size` where the creator means that. Where it means the geometry, which cannot express every size,
/// the geometry counts as long as it leaves out nothing but zeros; otherwise the current size does, and nothing is cut
/// off. The same where the geometry is larger than what the container holds.
class Reader final : public BlockReader {
 public:
  /// Validates everything but the blocks' bitmaps. Throws as read_layout() does.
  explicit Reader(File);

  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override;
  void read(std::uint64_t offset, std::span<std::byte> into) const override;

  const Layout& layout() const noexcept { return layout_; }
  /// Which field size() comes from.
  SizeRule sized_by() const noexcept { return sized_by_; }

 private:
  enum BlockState : std::uint8_t { unread, full, partial };

  void decide_size();
  bool zeros_between(std::uint64_t from, std::uint64_t to) const;
  Extent fixed_extent(std::uint64_t offset) const;
  Extent partial_extent(std::size_t block, std::uint64_t offset, std::uint64_t block_end) const;
  std::uint64_t end_of_holes(std::size_t block) const;
  bool is_full(std::size_t block) const;
  std::vector<std::byte> bitmap(std::size_t block) const;
  std::uint64_t data_at(std::size_t block) const { return layout_.bat[block] * sector + layout_.bitmap_size; }
  void read_block(std::size_t block, std::uint64_t within, std::span<std::byte> into) const;

  File file_;
  Layout layout_;
  std::uint64_t size_ = 0;
  SizeRule sized_by_ = SizeRule::current_size;
  /// What was learned of each block's bitmap. Racing threads learn the same.
  mutable std::vector<std::atomic<std::uint8_t>> states_;
};

}  // namespace kiln::vhd
