#pragma once
// The disk inside of a VHDX.

#include <cstdint>

#include <kiln/block.h>

#include "bat.h"
#include "container.h"
#include "layout.h"

namespace kiln::vhdx {

/// Reads a fixed or a dynamic VHDX as it is once its log is replayed; the file itself is never written. Blocks that are
/// not there read as zeros, as they do in Hyper-V.
class Reader final : public BlockReader {
 public:
  /// Validates everything.
  explicit Reader(File file)
      : container_(std::move(file)), layout_(read_layout(container_)), bat_(container_, layout_) {}

  std::uint64_t size() const override { return layout_.disk_size; }
  Extent extent_at(std::uint64_t offset) const override;
  void read(std::uint64_t offset, std::span<std::byte> into) const override;

  const Container& container() const noexcept { return container_; }
  const Layout& layout() const noexcept { return layout_; }
  const Bat& bat() const noexcept { return bat_; }

 private:
  Container container_;
  Layout layout_;
  Bat bat_;
};

}  // namespace kiln::vhdx
