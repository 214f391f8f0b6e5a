#include "claims.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace kiln::vmdk {

Claims::Claims(std::uint64_t first, std::uint64_t sectors)
    : first_(first), sectors_(sectors), bytes_(static_cast<std::size_t>(sectors / 64 + 1) * 8) {
  void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  words_ = static_cast<std::uint64_t*>(at);
}

Claims::~Claims() {
  ::munmap(words_, bytes_);
}

/// Calls `word(index, mask)` for the words of a range until it returns true; says whether one did.
template <class Word>
bool Claims::over_words(std::uint64_t at, std::uint64_t count, Word word) const {
  const std::uint64_t last = first_ + sectors_;
  const std::uint64_t end = count > last || at > last - count ? sectors_ : std::max(at + count, first_) - first_;
  std::uint64_t from = std::max(at, first_) - first_;
  while (from < end) {
    const std::uint64_t bits = std::min(64 - from % 64, end - from);
    const std::uint64_t mask = (bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1) << from % 64;
    if (word(from / 64, mask)) return true;
    from += bits;
  }
  return false;
}

bool Claims::take(std::uint64_t at, std::uint64_t count) {
  return !over_words(at, count, [this](std::uint64_t i, std::uint64_t mask) {
    if ((words_[i] & mask) != 0) return true;
    words_[i] |= mask;
    return false;
  });
}

bool Claims::any(std::uint64_t at, std::uint64_t count) const {
  return over_words(at, count, [this](std::uint64_t i, std::uint64_t mask) { return (words_[i] & mask) != 0; });
}

}  // namespace kiln::vmdk
