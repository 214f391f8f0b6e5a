#pragma once
// A disk of the catalog as it is stored: its manifest, and where its chunks are.

#include <string>
#include <vector>

#include "catalog/chunk_index.h"
#include "disk/manifest.h"

namespace kiln {

class Store;

/// Keeps its files open: removing the image does not disturb it.
struct StoredDisk {
  Manifest manifest;
  ChunkIndex index;
};

/// Hold Store::keep_files() for these. Throws Error when the manifest is damaged or that of another disk.
Manifest open_manifest(const Store&, const Digest& content);
/// Throws Error when a pack got lost, too.
StoredDisk open_disk(const Store&, const Digest& content, const std::vector<std::string>& packs);
/// Whether the disk can be read from these packs, as far as their indexes and what verifications found tell. Reads no
/// chunk: about 100 ms for a disk of 100 GiB.
bool is_whole(const Store&, const Digest& content, const std::vector<std::string>& packs);

}  // namespace kiln
