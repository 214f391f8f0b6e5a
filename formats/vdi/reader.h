#pragma once
// The disk inside of a VDI.

#include <cstdint>

#include <kiln/block.h>

#include "layout.h"

namespace kiln::vdi {

/// Reads a dynamic or a static VDI. Blocks that were never written or were discarded read as zeros.
///
/// The size is whole sectors: VBoxManage makes disks of odd sizes from raw files, and the block that holds the last
/// sector is in the file as a whole.
class Reader final : public BlockReader {
 public:
  /// Validates everything. Throws as read_layout() does.
  explicit Reader(File);

  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override;
  void read(std::uint64_t offset, std::span<std::byte> into) const override;

  const Layout& layout() const noexcept { return layout_; }

 private:
  std::uint64_t end_of_holes(std::size_t block) const;
  std::uint64_t end_of_run(std::size_t block) const;

  File file_;
  Layout layout_;
  std::uint64_t size_ = 0;
};

}  // namespace kiln::vdi
