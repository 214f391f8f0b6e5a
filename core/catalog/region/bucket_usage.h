#pragma once
// Metering of a bucket: what was kept there, when, and by whom. docs/store.md describes the objects.

#include "catalog/region/bucket_objects.h"

namespace kiln {

/// Writes down that the image is about to go. Its record counts only once the image is gone; told again, the later
/// moment holds.
void record_removal(const BucketObjects&, const ImageEntry&, const Moment& removed);

}  // namespace kiln
