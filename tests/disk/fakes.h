#pragma once
// Disks that exist only as a rule, and a sink that remembers what it was given.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include <kiln/block.h>
#include <kiln/hash.h>

namespace kiln::test {

/// A disk made of extents. Each 512 bytes of data are one byte, by their number.
class RuleDisk : public BlockReader {
 public:
  RuleDisk(std::uint64_t size, std::vector<Extent> extents) : size_(size), extents_(std::move(extents)) {}

  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override {
    ++walked;
    Extent hole{offset, size_ - offset, false, holes_inherited};
    for (const Extent& e : extents_) {
      const std::uint64_t end = std::min(e.offset + e.length, size_);
      if (offset >= e.offset && offset < end) return {offset, end - offset, e.data, e.inherited};
      if (e.offset > offset) hole.length = std::min(hole.length, e.offset - offset);
    }
    return hole;
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    bytes_read += into.size();
    if (on_read) on_read(offset);
    for (std::uint64_t at = offset, end = offset + into.size(); at < end;) {
      const Extent e = extent_at(at);
      const std::uint64_t piece = std::min({end, e.offset + e.length, at / 512 * 512 + 512}) - at;
      std::memset(into.data() + (at - offset), e.data ? byte_of(at / 512, e.inherited) : 0, piece);
      at += piece;
    }
  }

  bool holes_inherited = false;
  std::function<void(std::uint64_t)> on_read;
  mutable std::atomic<std::uint64_t> bytes_read = 0, walked = 0;

 private:
  // The same 512 bytes are another content below and in an overlay; none is zero.
  static int byte_of(std::uint64_t sector, bool inherited) {
    return 1 + static_cast<int>(((sector * 2 + (inherited ? 1 : 0)) * 0x9e3779b97f4a7c15) >> 40 & 0xffff) % 255;
  }

  std::uint64_t size_;
  std::vector<Extent> extents_;
};

/// Remembers all, and checks the order of the calls.
class MemorySink final : public BlockSink {
 public:
  bool knows(const Digest& d) const override { return known.contains(d); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    if (on_encode) on_encode(*batch);
    return BlockSink::encode(std::move(batch));
  }
  void append(Encoded& e) override {
    if (appending.exchange(true)) overlapped = true;
    if (on_append) on_append(*e.batch);
    order.push_back(e.batch->offset);
    if (e.batch->bytes.empty()) without_bytes.insert(e.batch->offset);
    for (std::size_t c = 0; c < e.batch->digests.size(); ++c)
      digests[e.batch->offset / chunk_size + c] = e.batch->digests[c];
    appending = false;
  }
  void store(Encoded& e) override {
    if (on_store) on_store(*e.batch);
    const std::lock_guard lock(mutex_);
    bytes[e.batch->offset].assign(e.batch->bytes.begin(), e.batch->bytes.end());
  }
  void finish() override { finished = true; }

  std::set<Digest> known;
  std::function<void(const Batch&)> on_encode, on_append, on_store;
  std::vector<std::uint64_t> order;
  std::map<std::uint64_t, std::vector<std::byte>> bytes;
  std::map<std::uint64_t, Digest> digests;
  std::set<std::uint64_t> without_bytes;
  std::atomic<bool> appending = false, overlapped = false;
  bool finished = false;

 private:
  std::mutex mutex_;
};

}  // namespace kiln::test
