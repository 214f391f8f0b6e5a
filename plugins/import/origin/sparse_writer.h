#pragma once
// A stream as a file: runs of zeros become holes.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <kiln/file.h>

namespace kiln::import {

/// One thread. What was not flushed when it is destroyed is not in the file.
class SparseWriter {
 public:
  /// Goes on at `position`, where the file ends.
  SparseWriter(File& file, std::uint64_t position) : file_(file), position_(position) {}

  void take(std::span<const std::byte>);
  /// The file is as long as what was taken, whatever it ends with.
  void flush();
  std::uint64_t position() const noexcept { return position_ + pending_.size(); }

 private:
  void write_pending();
  File& file_;
  std::uint64_t position_;          ///< of the first byte that is pending
  std::vector<std::byte> pending_;  ///< no more than up to the next multiple of the block's size
};

}  // namespace kiln::import
