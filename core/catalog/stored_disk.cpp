#include "catalog/stored_disk.h"

#include <algorithm>

#include "catalog/store.h"

namespace kiln {

namespace fs = std::filesystem;

Manifest open_manifest(const Store& store, const Digest& content) {
  const fs::path file = store.paths.manifest(content);
  store.bring_back(file);
  Manifest manifest = Manifest::open(file);
  if (manifest.content() != content)
    throw Error(file.string() + " describes another disk than the one that it is named after",
                "publish the image again: then it is written anew",
                {"it describes sha256:" + to_hex(manifest.content())});
  return manifest;
}

StoredDisk open_disk(const Store& store, const Digest& content, const std::vector<std::string>& packs) {
  return {open_manifest(store, content), ChunkIndex(store.open_packs(packs))};
}

bool is_whole(const Store& store, const Digest& content, const std::vector<std::string>& packs) {
  const auto marked = [&](const std::string& pack) { return fs::exists(store.paths.damage_mark(pack)); };
  if (std::ranges::any_of(packs, marked)) return false;
  try {
    const StoredDisk disk = open_disk(store, content, packs);
    const auto is_there = [&](const Manifest::Entry& entry) { return disk.index.contains(entry.digest); };
    return std::ranges::all_of(disk.manifest.entries(), is_there);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace kiln
