#pragma once
// What a log writes, in memory.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

#include "structures.h"

namespace kiln::vhdx {

/// Sectors of 4 KiB, and runs of zeros, that lie over the bytes of a file. What is written later counts. Reading from
/// several threads at once is fine.
class Overlay {
 public:
  static constexpr std::uint64_t sector = 4 * kib;

  /// All offsets and lengths are multiples of `sector`, and no end is past INT64_MAX.
  void write(std::uint64_t offset, std::span<const std::byte, sector>);
  void write_zeros(std::uint64_t offset, std::uint64_t length);

  bool empty() const noexcept { return sectors_.empty() && zeros_.empty(); }
  std::size_t sectors() const noexcept { return sectors_.size(); }
  /// Whether anything lies over the run.
  bool covers_some(std::uint64_t offset, std::uint64_t length) const;
  /// Replaces those of the file's bytes from `offset` on that something lies over.
  void lay_over(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::map<std::uint64_t, std::array<std::byte, sector>> sectors_;  ///< these lie over the zeros
  std::map<std::uint64_t, std::uint64_t> zeros_;                    ///< start → end; apart from each other
};

}  // namespace kiln::vhdx
