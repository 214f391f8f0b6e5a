#pragma once
// An image's disk on another host, once for all instances there.
//
// It is the volume base-<content digest>-<8 digits>.raw, complete when base-<…>-<…>.ready, an empty volume, lies beside
// it. libvirt cannot rename; so every copy is made under a name of its own, and the marker comes after its last byte.
// Of two kilns that make the same one the slower removes its own; a copy that was cut has no marker, is used by
// nobody, and goes away when it has not grown for a day.

#include <functional>
#include <optional>

#include <kiln/context.h>

#include "libvirt/upload.h"

namespace kiln {

/// What is to lie there, and what is known here of other disks.
struct BaseImage {
  const Manifest& manifest;
  /// Asked only when something has to be sent.
  std::function<std::shared_ptr<const BlockReader>()> open;
  /// The chunks of a disk that the host has; nothing when it is not known here.
  std::function<std::optional<Manifest>(const Digest& content)> manifest_of;
  std::stop_token stop = {};
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};

struct BaseOnHost {
  DiskFile disk;           ///< its path there, and "raw"
  std::uint64_t sent = 0;  ///< bytes of the disk that went to the host
};

/// Uses the one that is there; else copies, on the host, the one whose chunks differ least, and sends the difference;
/// else sends all that is not zero.
BaseOnHost prepare_base(const Storage&, const BaseImage&);

}  // namespace kiln
