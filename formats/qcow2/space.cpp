#include "space.h"

#include <algorithm>

#include <kiln/endian.h>

namespace kiln::qcow2 {
namespace {

constexpr std::uint16_t max_refcount = UINT16_MAX;

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

}  // namespace

Space::Space(File& file, unsigned cluster_bits)
    : file_(file), bits_(cluster_bits), per_block_((std::uint64_t{1} << cluster_bits) / 2) {
  clusters(1);
}

std::uint64_t Space::clusters(std::uint64_t count) {
  const std::uint64_t at = next_;
  next_ += count;
  counts_.resize(static_cast<std::size_t>(next_ - first_), 1);
  return at << bits_;
}

std::uint64_t Space::packed(std::uint64_t bytes) {
  const bool fits = bytes <= fill_end_ - fill_;
  const bool goes_on = fill_end_ == end();
  const bool full = fill_ != fill_end_ && counts_[static_cast<std::size_t>((fill_ >> bits_) - first_)] == max_refcount;
  if ((!fits && !goes_on) || full) fill_ = fill_end_ = end();
  const std::uint64_t at = fill_;
  if (at >> bits_ < next_) count_up(at >> bits_);
  fill_ = at + bytes;
  if (fill_ > fill_end_) {
    clusters(1);  // its refcount of 1 is this piece's
    fill_end_ = end();
  }
  return at;
}

void Space::count_up(std::uint64_t cluster) {
  ++counts_[static_cast<std::size_t>(cluster - first_)];
}

void Space::settle() {
  while (counts_.size() >= per_block_) {
    const std::uint64_t block = clusters(1);
    write_block(block);
    if (fill_ >> bits_ < first_) fill_ = fill_end_ = 0;  // its refcount is final
  }
}

void Space::write_block(std::uint64_t offset) {
  std::vector<std::byte> block(std::size_t{1} << bits_);
  const auto used = static_cast<std::size_t>(std::min<std::uint64_t>(counts_.size(), per_block_));
  for (std::size_t i = 0; i < used; ++i) put_be(block, i * 2, counts_[i]);
  file_.write_at(offset, block);
  blocks_.push_back(offset);
  counts_.erase(counts_.begin(), counts_.begin() + static_cast<std::ptrdiff_t>(used));
  first_ += per_block_;
}

Space::RefcountTable Space::finish() {
  settle();
  // The blocks and the table count themselves.
  std::uint64_t more = 0, table = 0;
  for (std::uint64_t needed = 1; needed != more + table;) {
    needed = more + table;
    more = divide_up(counts_.size() + needed, per_block_);
    table = divide_up((blocks_.size() + more) * 8, std::uint64_t{1} << bits_);
  }
  const std::uint64_t table_offset = clusters(table);
  const std::uint64_t block_offset = clusters(more);
  for (std::uint64_t i = 0; i < more; ++i) write_block(block_offset + (i << bits_));
  std::vector<std::byte> bytes(static_cast<std::size_t>(table << bits_));
  for (std::size_t i = 0; i < blocks_.size(); ++i) put_be(bytes, i * 8, blocks_[i]);
  file_.write_at(table_offset, bytes);
  return {table_offset, static_cast<std::uint32_t>(table)};
}

}  // namespace kiln::qcow2
