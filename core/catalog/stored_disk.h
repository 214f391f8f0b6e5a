#pragma once
// A disk of the catalog as it is stored, for whoever wants its chunks without unpacking them.

#include "catalog/chunk_index.h"
#include "disk/manifest.h"

namespace kiln {

/// Keeps its files open: removing the image does not disturb it.
struct StoredDisk {
  Manifest manifest;
  ChunkIndex index;
};

}  // namespace kiln
