#pragma once
// The collection of a bucket: removes what no image needs any longer, beside copies from any host.
//
//     a copy's marker whose copy has died    ─▶ it goes; the copy finds that out before it is seen, and fails
//     a manifest whose content no image has  ─▶ it goes, once what its chunks weighed is written down
//     a chunk that no manifest names         ─▶ it goes
//     a document, a channel of no image      ─▶ it goes: a removal was killed
//
// Nothing but markers goes while a copy runs. docs/store.md and ADR 9 say why this is safe.

#include "catalog/collection.h"
#include "catalog/region/bucket_objects.h"

namespace kiln {

/// Throws Error, and removes nothing but dead markers, when not all images can be read. `dry_run`: nothing changes.
Collected collect_bucket(const BucketObjects&, bool dry_run);

}  // namespace kiln
