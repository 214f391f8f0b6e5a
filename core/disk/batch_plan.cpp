#include "disk/batch_plan.h"

#include <algorithm>

#include "disk/manifest.h"

namespace kiln {
namespace {

// A reader that broke this promise would make the walk endless or drop data.
Extent extent_at(const BlockReader& reader, std::uint64_t at, std::uint64_t size) {
  const Extent extent = reader.extent_at(at);
  if (extent.offset != at || extent.length == 0 || extent.length > size - at)
    throw Error("a reader described its disk wrongly", "this is a defect of the format's plugin: report it",
                {"asked at " + std::to_string(at) + ", got " + std::to_string(extent.offset) + " + " +
                 std::to_string(extent.length) + " of " + std::to_string(size)});
  return extent;
}

}  // namespace

BatchPlan::BatchPlan(const BlockReader& reader, const Manifest* known, bool known_is_whole)
    : reader_(reader), known_(known), whole_(known != nullptr && known_is_whole), size_(reader.size()) {
  if (whole_ && known->disk_size() != size_)
    throw Error(
        "the manifest is of another disk", "remove it; it is made again when it is needed",
        {"the disk has " + std::to_string(size_) + " bytes, the manifest's " + std::to_string(known->disk_size())});
}

std::optional<PlannedBatch> BatchPlan::next() {
  while (at_ < size_) {
    const Extent extent = extent_at(reader_, at_, size_);
    if (extent.data) break;
    at_ += extent.length;
  }
  if (at_ >= size_) return std::nullopt;
  PlannedBatch batch;
  batch.offset = at_ / batch_size * batch_size;
  batch.length = std::min(batch_size, size_ - batch.offset);
  if (known_ != nullptr) batch.known.set();
  const std::uint64_t end = batch.offset + batch.length;
  // From the batch's start, not from its first data: whether a chunk is wholly inherited depends on its holes as well.
  for (at_ = batch.offset; at_ < end;) {
    Extent extent = extent_at(reader_, at_, size_);
    extent.length = std::min(extent.length, end - at_);
    add(batch, extent);
    at_ += extent.length;
  }
  for (std::size_t c = 0; c < batch.chunk_count; ++c)
    if (known_ == nullptr)
      batch.known.set(c, batch.data[c] && reader_.known_digest(batch.offset / chunk_size + c).has_value());
    else if (!may_be_known(batch.offset + c * chunk_size))
      batch.known.reset(c);
  return batch;
}

void BatchPlan::add(PlannedBatch& batch, const Extent& extent) const {
  const std::size_t first = (extent.offset - batch.offset) / chunk_size;
  const std::size_t last = (extent.offset + extent.length - 1 - batch.offset) / chunk_size;
  for (std::size_t c = first; c <= last; ++c) {
    if (extent.data) batch.data.set(c);
    if (!extent.inherited && !whole_) batch.known.reset(c);
  }
  if (!extent.data) return;
  batch.data_bytes += extent.length;
  if (!batch.runs.empty() && batch.runs.back().offset + batch.runs.back().length == extent.offset)
    batch.runs.back().length += extent.length;
  else
    batch.runs.push_back({extent.offset, extent.length});
}

// A disk that was shrunk cuts its last chunk: the manifest's digest is of bytes that are gone. One that grew may have
// uncovered nothing but zeros, yet only a chunk that lay wholly within the old size is sure to be the same.
bool BatchPlan::may_be_known(std::uint64_t chunk_offset) const {
  if (known_ == nullptr) return false;
  if (known_->disk_size() == size_) return true;
  return chunk_offset + chunk_size <= std::min(size_, known_->disk_size());
}

std::uint64_t count_data(const BlockReader& reader) {
  std::uint64_t total = 0;
  for (std::uint64_t at = 0, size = reader.size(); at < size;) {
    const Extent extent = extent_at(reader, at, size);
    if (extent.data) total += extent.length;
    at += extent.length;
  }
  return total;
}

}  // namespace kiln
