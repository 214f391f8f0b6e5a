#include "oci/oci_disk.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include <kiln/endian.h>
#include <kiln/hash.h>

namespace kiln::import {
namespace {

constexpr std::size_t header_size = 64, entry_size = 56;
constexpr std::uint64_t largest_disk = std::uint64_t{1} << 50;

Error damaged(const std::string& fact, std::uint64_t row) {
  return Error("the disk's index is damaged: " + fact, "get a complete copy of the layout from whoever made it",
               {"entry " + std::to_string(row) + " of the index"});
}

Error damaged_header(const std::string& fact) {
  return Error("the disk's index is damaged: " + fact, "get a complete copy of the layout from whoever made it");
}

OciChunk parse_entry(std::span<const std::byte> row) {
  OciChunk chunk;
  chunk.index = get_le<std::uint64_t>(row, 0);
  std::memcpy(chunk.digest.bytes.data(), row.data() + 8, 32);
  chunk.blob = get_le<std::uint32_t>(row, 40);
  chunk.offset = get_le<std::uint32_t>(row, 44);
  chunk.stored = get_le<std::uint32_t>(row, 48);
  chunk.codec = std::to_integer<std::uint8_t>(row[52]);
  return chunk;
}

/// Follows the entries through the blobs. Since each begins where the last one ended, or is the repetition of one,
/// there can be no overlap, no gap and no byte that belongs to nobody.
class Filling {
 public:
  Filling(const std::vector<Descriptor>& blobs, const std::vector<OciChunk>& before) : blobs_(blobs), before_(before) {}

  /// `row`: how many are in `before`.
  void add(const OciChunk& chunk, std::uint64_t row) {
    if (blob_ < blobs_.size() && at_ == blobs_[blob_].size) ++blob_, at_ = 0;
    if (chunk.blob != blob_ || chunk.offset != at_) {
      if (!is_repetition(chunk)) throw damaged("a chunk is not where the one before it ends", row);
      return;
    }
    if (blob_ >= blobs_.size() || chunk.stored > blobs_[blob_].size - at_)
      throw damaged("a chunk ends outside of its blob", row);
    at_ += chunk.stored;
    firsts_.push_back(static_cast<std::uint32_t>(row));
  }

  void finish() const {
    const bool all = blobs_.empty() || (blob_ + 1 == blobs_.size() && at_ == blobs_.back().size);
    if (!all) throw damaged_header("the blobs have bytes that belong to no chunk");
  }

 private:
  bool is_repetition(const OciChunk& chunk) const {
    const auto place = [](const OciChunk& c) { return std::pair(c.blob, c.offset); };
    const auto of_row = [&](std::uint32_t row) { return place(before_[row]); };
    const auto found = std::ranges::lower_bound(firsts_, place(chunk), {}, of_row);
    if (found == firsts_.end()) return false;
    const OciChunk& first = before_[*found];
    return place(first) == place(chunk) && first.digest == chunk.digest && first.stored == chunk.stored &&
           first.codec == chunk.codec;
  }

  const std::vector<Descriptor>& blobs_;
  const std::vector<OciChunk>& before_;
  std::vector<std::uint32_t> firsts_;  // rows, by place
  std::size_t blob_ = 0;
  std::uint64_t at_ = 0;
};

/// The digest of a chunk that is all zeros. It is left out of an index, so that a disk has one digest only.
const Digest& digest_of_zeros() {
  static const Digest digest = sha256(std::vector<std::byte>(chunk_size));
  return digest;
}

void check_entry(const OciChunk& chunk, const OciIndex& index, std::uint64_t row) {
  if (!index.chunks.empty() && chunk.index <= index.chunks.back().index) throw damaged("entries out of order", row);
  if (chunk.index > (index.disk_size - 1) / chunk_size) throw damaged("a chunk past the disk's end", row);
  if (chunk.digest.is_zero_chunk() || chunk.digest == digest_of_zeros()) throw damaged("a chunk of zeros", row);
  if (chunk.codec > 1 || chunk.stored == 0 || chunk.stored > chunk_size ||
      (chunk.codec == 0 && chunk.stored != chunk_size))
    throw damaged("a chunk is stored in no known way", row);
}

struct FreeContext {
  void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
};

bool decompress(std::span<const std::byte> stored, std::span<std::byte> into) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  if (!context) throw Error("no memory to decompress with", "close other programs");
  const std::size_t n = ZSTD_decompressDCtx(context.get(), into.data(), into.size(), stored.data(), stored.size());
  return !ZSTD_isError(n) && n == into.size();
}

class ChunkedDisk final : public BlockReader {
 public:
  ChunkedDisk(Blobs blobs, std::vector<Descriptor> groups, OciIndex index)
      : blobs_(std::move(blobs)), groups_(std::move(groups)), index_(std::move(index)) {}

  std::uint64_t size() const override { return index_.disk_size; }

  Extent extent_at(std::uint64_t offset) const override {
    auto at = find(offset / chunk_size);
    std::uint64_t chunk = offset / chunk_size, end = size();
    const bool data = at != index_.chunks.end() && at->index == chunk;
    if (data) {
      for (; at != index_.chunks.end() && at->index == chunk; ++at) ++chunk;
      end = std::min(end, chunk * chunk_size);
    } else if (at != index_.chunks.end()) {
      end = at->index * chunk_size;
    }
    return {offset, end - offset, data, false};
  }

  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    OpenBlob open;
    auto at = find(offset / chunk_size);
    thread_local std::vector<std::byte> whole(chunk_size);
    while (!into.empty()) {
      const std::uint64_t within = offset % chunk_size;
      const auto part = into.first(std::min<std::size_t>(into.size(), chunk_size - within));
      if (at != index_.chunks.end() && at->index == offset / chunk_size) {
        read_chunk(*at++, whole, open);
        std::memcpy(part.data(), whole.data() + within, part.size());
      } else {
        std::ranges::fill(part, std::byte{0});
      }
      into = into.subspan(part.size());
      offset += part.size();
    }
  }

 private:
  /// Neighbours are mostly in one blob. Not all blobs are kept open: there may be more than a process may have files.
  struct OpenBlob {
    std::optional<File> file;
    std::uint32_t number = 0;
  };

  std::vector<OciChunk>::const_iterator find(std::uint64_t chunk) const {
    return std::ranges::lower_bound(index_.chunks, chunk, {}, &OciChunk::index);
  }

  void read_chunk(const OciChunk& chunk, std::span<std::byte> into, OpenBlob& open) const {
    if (!open.file || open.number != chunk.blob) {
      open.file.emplace(blobs_.open(groups_[chunk.blob]));
      open.number = chunk.blob;
    }
    thread_local Hasher hasher;
    thread_local std::vector<std::byte> stored;
    stored.resize(chunk.stored);
    open.file->read_at(chunk.offset, stored);
    if (chunk.codec == 0)
      std::ranges::copy(stored, into.begin());
    else if (!decompress(stored, into))
      throw broken(chunk, "it does not decompress to 64 KiB");
    if (hasher.update(into).digest() != chunk.digest) throw broken(chunk, "its sha256 is another");
    const std::uint64_t end = size() - chunk.index * chunk_size;
    if (end < chunk_size && std::ranges::any_of(into.subspan(end), [](std::byte b) { return b != std::byte{0}; }))
      throw broken(chunk, "it goes on after the disk's end");
  }

  Error broken(const OciChunk& chunk, const std::string& why) const {
    return Error("chunk sha256:" + to_hex(chunk.digest) + " is damaged: " + why,
                 "get a complete copy of the layout from whoever made it",
                 {"blob sha256:" + to_hex(groups_[chunk.blob].digest) + ", byte " + std::to_string(chunk.offset)});
  }

  Blobs blobs_;
  std::vector<Descriptor> groups_;
  OciIndex index_;
};

}  // namespace

OciIndex parse_oci_index(std::span<const std::byte> bytes, const std::vector<Descriptor>& blobs) {
  if (bytes.size() < header_size || std::memcmp(bytes.data(), "KILNOCI1", 8) != 0)
    throw damaged_header("bytes 0..7 are not its mark");
  OciIndex index;
  index.disk_size = get_le<std::uint64_t>(bytes, 8);
  const auto count = get_le<std::uint64_t>(bytes, 16);
  std::memcpy(index.content.bytes.data(), bytes.data() + 32, 32);
  const auto table = bytes.subspan(header_size);
  if (table.size() % entry_size != 0 || table.size() / entry_size != count)
    throw damaged_header("bytes 16..23: " + std::to_string(count) + " entries do not fill it");
  if (index.disk_size == 0 || index.disk_size > largest_disk)
    throw damaged_header("bytes 8..15: a disk has no such size");
  if (get_le<std::uint32_t>(bytes, 24) != chunk_size || get_le<std::uint32_t>(bytes, 28) != blobs.size())
    throw damaged_header("bytes 24..31: not the chunk size, or not the number of blobs that the manifest has");

  Filling filling(blobs, index.chunks);
  // The identity of a disk, as core/disk/content.h defines it.
  Hasher content;
  content.update("kiln-disk-1\n").update(bytes.subspan(8, 8));
  index.chunks.reserve(count);
  for (std::uint64_t row = 0; row < count; ++row) {
    const auto at = table.subspan(row * entry_size, entry_size);
    const OciChunk chunk = parse_entry(at);
    check_entry(chunk, index, row);
    filling.add(chunk, row);
    content.update(at.first(40));
    index.chunks.push_back(chunk);
  }
  filling.finish();
  if (content.digest() != index.content) throw damaged_header("the content digest is not that of the entries");
  return index;
}

std::shared_ptr<const BlockReader> open_oci_disk(Blobs blobs, std::vector<Descriptor> groups, OciIndex index) {
  return std::make_shared<ChunkedDisk>(std::move(blobs), std::move(groups), std::move(index));
}

}  // namespace kiln::import
