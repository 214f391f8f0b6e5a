#include "origin/sparse_writer.h"

#include <algorithm>
#include <cstring>

namespace kiln::import {
namespace {

constexpr std::uint64_t block = 64u << 10;

bool is_zero(std::span<const std::byte> bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

void SparseWriter::take(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t room = block - position() % block;
    const auto part = bytes.first(std::min<std::uint64_t>(bytes.size(), room));
    pending_.insert(pending_.end(), part.begin(), part.end());
    bytes = bytes.subspan(part.size());
    if (part.size() == room) write_pending();
  }
}

void SparseWriter::write_pending() {
  if (!is_zero(pending_)) file_.write_at(position_, pending_);
  position_ += pending_.size();
  pending_.clear();
}

void SparseWriter::flush() {
  write_pending();
  if (file_.size() != position_) file_.truncate(position_);
}

}  // namespace kiln::import
