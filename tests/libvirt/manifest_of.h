#pragma once
// What is in a disk, as the catalog would say it.

#include <filesystem>

#include "disk/manifest.h"
#include "disk/pump.h"

namespace kiln::test {

/// `file` is made, and kept open by what is returned.
inline Manifest manifest_of(const BlockReader& disk, const std::filesystem::path& file) {
  ManifestSink sink(file, disk.size());
  BlockSink* const sinks[] = {&sink};
  pump(disk, sinks);
  sink.finish();
  return Manifest::open(file);
}

}  // namespace kiln::test
