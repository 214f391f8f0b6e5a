#pragma once
// A disk that QEMU exports over NBD, as a BlockReader.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <kiln/block.h>
#include <kiln/value.h>

#include "disk/manifest.h"

namespace kiln {

/// What to read, and what is known of it before. The export is qemu's (docs/interop/nbd.txt of QEMU 7.2: the contexts
/// "qemu:allocation-depth" and "qemu:dirty-bitmap:NAME").
struct NbdExport {
  std::filesystem::path socket;
  std::string name;
  /// What did not change since that manifest was made is as it says. What changed is what any of `bitmaps` says is
  /// dirty; when there are none: what a layer less than `depth` deep holds, the export's own being 1.
  std::optional<Manifest> known = {};
  std::vector<std::string> bitmaps = {};
  unsigned depth = 0;
  std::shared_ptr<void> keep = {};         ///< lives as long as the reader: what serves the export
  std::function<void()> before_read = {};  ///< [any thread] may throw
  std::stop_token stop = {};
  Duration silence{std::chrono::minutes(1)};  ///< for so long it may not answer
};

/// Connects, and asks which parts hold data. Nothing that the other side says of lengths is believed unchecked; when
/// it is silent for too long that is an Error. Blocks are looked at in steps of chunk_size.
std::shared_ptr<const BlockReader> open_nbd(NbdExport);

}  // namespace kiln
