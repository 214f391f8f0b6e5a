#pragma once
// Catalogs in temporary folders, and disks to publish into them.

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <kiln/hash.h>

#include "catalog/image_parts.h"
#include "catalog/local_catalog.h"
#include "disk/pump.h"
#include "support/disks.h"
#include "support/temp.h"

namespace kiln::test {

/// A disk in memory. Chunks of zeros are holes.
class MemoryDisk final : public BlockReader {
 public:
  explicit MemoryDisk(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) { find_data(); }

  std::uint64_t size() const override { return bytes_.size(); }
  Extent extent_at(std::uint64_t offset) const override {
    const bool data = is_data(offset / chunk_size);
    std::uint64_t end = offset / chunk_size + 1;
    while (end * chunk_size < size() && is_data(end) == data) ++end;
    return {offset, std::min(end * chunk_size, size()) - offset, data, false};
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }
  /// Changes one byte, which is not of a hole.
  void flip(std::uint64_t offset) { bytes_[offset] ^= std::byte{1}; }

 private:
  bool is_data(std::uint64_t chunk) const { return data_[chunk]; }
  void find_data() {
    for (std::uint64_t at = 0; at < bytes_.size(); at += chunk_size) {
      const std::byte* chunk = bytes_.data() + at;
      const auto length = std::min<std::uint64_t>(chunk_size, bytes_.size() - at);
      data_.push_back(*chunk != std::byte{0} || std::memcmp(chunk, chunk + 1, length - 1) != 0);
    }
  }
  std::vector<std::byte> bytes_;
  std::vector<bool> data_;  // by chunk
};

/// `size` bytes: thirds of random data, text and holes, in turns of 256 KiB.
inline MemoryDisk make_disk(std::uint64_t size, std::uint64_t seed) {
  std::vector<std::byte> bytes(size);
  constexpr std::uint64_t turn = 256 * 1024;
  for (std::uint64_t at = 0, n = 0; at < size; at += turn, ++n) {
    const auto part = std::span(bytes).subspan(at, std::min(turn, size - at));
    if (n % 3 != 2) fill(part, n % 3 == 0 ? Piece::Kind::random : Piece::Kind::text, seed * 1000 + n);
  }
  return MemoryDisk(std::move(bytes));
}

struct Published {
  Image image;
  PassResult pass;
  std::uint64_t new_chunks = 0, all_chunks = 0;
};

inline Published publish(Catalog& catalog, const BlockReader& disk, ImageDraft draft) {
  draft.virtual_size = disk.size();
  const auto sink = catalog.publish(draft);
  BlockSink* sinks[] = {sink.get()};
  const PassResult pass = pump(disk, sinks, {.workers = 2});
  sink->finish();
  return {sink->image(), pass, sink->new_chunks(), sink->all_chunks()};
}

/// A part for an image that is to come, finished.
inline std::shared_ptr<const PartSink> store_part(Catalog& catalog, const BlockReader& disk) {
  std::shared_ptr<PartSink> part = catalog.store(disk.size());
  BlockSink* sinks[] = {part.get()};
  (void)pump(disk, sinks, {.workers = 2});
  part->finish();
  return part;
}

inline Published publish(Catalog& catalog, const BlockReader& disk, ImageDraft draft, std::vector<NewPart> parts) {
  draft.virtual_size = disk.size();
  const auto sink = catalog.publish(draft);
  BlockSink* sinks[] = {sink.get()};
  const PassResult pass = pump(disk, sinks, {.workers = 2});
  sink->set_parts(std::move(parts));
  sink->finish();
  return {sink->image(), pass, sink->new_chunks(), sink->all_chunks()};
}

inline std::vector<std::byte> read_all(const BlockReader& reader) {
  std::vector<std::byte> bytes(reader.size());
  reader.read(0, bytes);
  return bytes;
}

inline bool same_content(const BlockReader& a, const BlockReader& b) {
  return a.size() == b.size() && read_all(a) == read_all(b);
}

/// Every file below a folder, relative to it.
inline std::set<std::string> files_in(const std::filesystem::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) out.insert(std::filesystem::relative(entry.path(), folder));
  return out;
}

inline std::filesystem::path only_file(const std::filesystem::path& folder) {
  const auto files = files_in(folder);
  EXPECT_EQ(files.size(), 1u);
  return folder / *files.begin();
}

/// What a call throws; fails the test when it throws nothing.
template <class F>
Error error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error("none");
}

}  // namespace kiln::test
