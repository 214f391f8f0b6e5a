#pragma once
// Which sectors of a file are spoken for.

#include <cstddef>
#include <cstdint>

namespace kiln::vmdk {

/// One bit per sector of a window of the file: 256 GiB at most, 64 MiB of bits, of which only the pages that are used
/// take memory. A larger file is walked once per window.
class Claims {
 public:
  static constexpr std::uint64_t most = std::uint64_t{1} << 29;

  Claims(std::uint64_t first, std::uint64_t sectors);
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;
  ~Claims();

  /// Takes the part of `at` .. `at + count` that is in the window. False when a sector of it was taken before.
  bool take(std::uint64_t at, std::uint64_t count);
  /// Whether a sector of that part was taken.
  bool any(std::uint64_t at, std::uint64_t count) const;

 private:
  template <class Word>
  bool over_words(std::uint64_t at, std::uint64_t count, Word word) const;

  std::uint64_t first_, sectors_;
  std::size_t bytes_;
  std::uint64_t* words_ = nullptr;
};

}  // namespace kiln::vmdk
