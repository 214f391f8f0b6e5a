#pragma once
// Metering of a bucket: what was kept there, when, and by whom. docs/store.md describes the objects.
//
// A bucket has no samples. They are computed whenever they are asked for, from the images that are there, from records
// of those that were removed, and from what their chunks weigh.

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "catalog/region/bucket_objects.h"
#include "catalog/usage_records.h"

namespace kiln {

/// Bytes of a chunk's object.
using ChunkSizes = std::unordered_map<Digest, std::uint64_t>;

/// Writes down that the image is about to go. Its record counts only once the image is gone; told again, the later
/// moment holds.
void record_removal(const BucketObjects&, const ImageEntry&, const Moment& removed);

/// Writes down what the chunks of a disk weigh, before its manifest and perhaps they themselves are removed: images
/// that had it are still to be billed.
void record_weights(const BucketObjects&, const Manifest&, const ChunkSizes&);

/// All owners' steps: complete from `from` on, as UsageRecords::samples() gives them.
std::vector<UsageSample> bucket_usage(const BucketObjects&, const Moment& from);

}  // namespace kiln
