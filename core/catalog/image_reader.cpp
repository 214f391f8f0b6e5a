#include "catalog/image_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace kiln {
namespace {

/// Position of the first entry whose chunk is `index` or later.
std::size_t position_of(std::span<const Manifest::Entry> entries, std::uint64_t index) {
  const auto at = std::ranges::lower_bound(entries, index, {}, &Manifest::Entry::index);
  return static_cast<std::size_t>(at - entries.begin());
}

}  // namespace

ImageReader::ImageReader(Manifest manifest, ChunkIndex index) : manifest_(std::move(manifest)) {
  for (const Manifest::Entry& entry : manifest_.entries())
    if (!index.contains(entry.digest))
      throw Error("chunk sha256:" + to_hex(entry.digest) + " is in none of the image's packs",
                  "list every image that is harmed: kiln image verify",
                  {"chunk " + std::to_string(entry.index) + " of the disk"});
  fetch_ = [packs = std::make_shared<const ChunkIndex>(std::move(index))](const Digest& digest,
                                                                          std::span<std::byte> chunk) {
    const auto found = packs->find(digest);
    packs->packs()[found.pack]->read(*found.entry, chunk);
  };
}

Extent ImageReader::extent_at(std::uint64_t offset) const {
  const auto entries = manifest_.entries();
  const std::uint64_t chunk = offset / chunk_size;
  std::size_t at = position_of(entries, chunk);
  const bool data = at < entries.size() && entries[at].index == chunk;
  std::uint64_t end = size();
  if (data) {
    std::uint64_t next = chunk;
    for (; at < entries.size() && entries[at].index == next; ++at) ++next;
    end = std::min(end, next * chunk_size);
  } else if (at < entries.size()) {
    end = entries[at].index * chunk_size;
  }
  return {offset, end - offset, data, false};
}

void ImageReader::read(std::uint64_t offset, std::span<std::byte> into) const {
  const auto entries = manifest_.entries();
  std::size_t at = position_of(entries, offset / chunk_size);
  while (!into.empty()) {
    const std::uint64_t chunk = offset / chunk_size, within = offset % chunk_size;
    const auto part = into.first(std::min<std::size_t>(into.size(), chunk_size - within));
    if (at < entries.size() && entries[at].index == chunk)
      read_chunk(at++, within, part);
    else
      std::ranges::fill(part, std::byte{0});
    into = into.subspan(part.size());
    offset += part.size();
  }
}

void ImageReader::read_chunk(std::size_t position, std::uint64_t within, std::span<std::byte> into) const {
  const Digest& digest = manifest_.entries()[position].digest;
  if (into.size() == chunk_size) {
    fetch_(digest, into);
    return;
  }
  thread_local std::vector<std::byte> whole(chunk_size);
  fetch_(digest, whole);
  std::memcpy(into.data(), whole.data() + within, into.size());
}

}  // namespace kiln
