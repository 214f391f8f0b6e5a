#include "overlay.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace kiln::vhdx {

void Overlay::write(std::uint64_t offset, std::span<const std::byte, sector> bytes) {
  std::ranges::copy(bytes, sectors_[offset].begin());
}

void Overlay::write_zeros(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  std::uint64_t start = offset, end = offset + length;
  sectors_.erase(sectors_.lower_bound(start), sectors_.lower_bound(end));
  auto it = zeros_.upper_bound(start);
  if (it != zeros_.begin() && std::prev(it)->second >= start) --it;
  while (it != zeros_.end() && it->first <= end) {
    start = std::min(start, it->first);
    end = std::max(end, it->second);
    it = zeros_.erase(it);
  }
  zeros_[start] = end;
}

bool Overlay::covers_some(std::uint64_t offset, std::uint64_t length) const {
  const std::uint64_t end = offset + length;
  const auto data = sectors_.lower_bound(offset - offset % sector);
  if (data != sectors_.end() && data->first < end) return true;
  auto zero = zeros_.upper_bound(offset);
  if (zero != zeros_.begin() && std::prev(zero)->second > offset) return true;
  return zero != zeros_.end() && zero->first < end;
}

void Overlay::lay_over(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::uint64_t end = offset + bytes.size();
  auto zero = zeros_.upper_bound(offset);
  if (zero != zeros_.begin()) --zero;
  for (; zero != zeros_.end() && zero->first < end; ++zero) {
    const std::uint64_t from = std::max(zero->first, offset), to = std::min(zero->second, end);
    if (from < to) std::memset(bytes.data() + (from - offset), 0, to - from);
  }
  for (auto it = sectors_.lower_bound(offset - offset % sector); it != sectors_.end() && it->first < end; ++it) {
    const std::uint64_t from = std::max(it->first, offset), to = std::min(it->first + sector, end);
    std::memcpy(bytes.data() + (from - offset), it->second.data() + (from - it->first), to - from);
  }
}

}  // namespace kiln::vhdx
