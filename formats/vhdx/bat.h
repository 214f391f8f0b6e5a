#pragma once
// 2.5 "BAT": where each block of the disk lies.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "container.h"
#include "layout.h"

namespace kiln::vhdx {

/// Blocks that are alike: all read as zeros, or all lie one behind the other.
struct Run {
  std::uint64_t at = 0;  ///< in the file; 0: they read as zeros
  std::uint64_t blocks = 0;
};

/// The table of a disk of 64 TiB can have 512 MiB: it is read in pieces, all of which are checked once at the start
/// and, because the file is a stranger's, again when they are read anew. find() may be called from any thread.
class Bat {
 public:
  /// Checks that every block lies within the file, on nothing else, and is used once. `container` and `layout` must
  /// outlive it.
  Bat(const Container& container, const Layout& layout);

  /// Of the blocks from `block` on: `most` of them, fewer where a piece of the table ends. Of blocks that read as zeros
  /// all that the piece has.
  Run find(std::uint64_t block, std::uint64_t most) const;
  std::uint64_t allocated() const noexcept { return allocated_; }

 private:
  using Piece = std::vector<std::uint64_t>;  ///< one offset per block, 0 for zeros
  struct Slot {
    std::uint64_t key = UINT64_MAX, used = 0;
    std::shared_ptr<const Piece> piece;
  };

  void check();
  void mark(std::vector<bool>& taken, std::uint64_t block, std::uint64_t at) const;
  Piece load(std::uint64_t key) const;
  std::uint64_t decode(std::uint64_t block, std::uint64_t entry) const;
  std::shared_ptr<const Piece> piece(std::uint64_t key) const;
  std::uint64_t used_bytes(std::uint64_t block) const;

  const Container& container_;
  const Layout& layout_;
  std::uint64_t allocated_ = 0;
  mutable std::mutex mutex_;
  mutable std::array<Slot, 16> slots_;
  mutable std::uint64_t clock_ = 0;
};

}  // namespace kiln::vhdx
