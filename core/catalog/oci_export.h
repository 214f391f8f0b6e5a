#pragma once
// An image as an OCI image layout: a folder that programs for containers can copy, to where no region reaches.
// docs/oci.md describes every byte of it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include <kiln/digest.h>

#include "catalog/image_entry.h"
#include "catalog/stored_disk.h"

namespace kiln {

struct OciExport {
  std::filesystem::path folder;  ///< new, empty, or a layout that gets one more image
  std::stop_token stop = {};     ///< once asked for, export_oci() throws cancelled() and leaves nothing behind
  /// Stored bytes so far and in all.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};

struct OciExported {
  std::string tag;           ///< "web:2026-11-22.1", the image's own reference
  Digest manifest;           ///< of the OCI image manifest
  std::uint64_t blobs = 0;   ///< that the image is made of
  std::uint64_t copied = 0;  ///< of these, how many were not there yet
  std::uint64_t bytes = 0;   ///< of all of them
};

/// The chunks go over as they are stored, each verified first. The same image gives the same bytes. Needs memory for
/// one blob of chunks (16 MiB; more for disks of over 64 GiB of stored data). Throws what OciLayout throws, and Error
/// for a damaged chunk.
OciExported export_oci(const StoredDisk&, const ImageEntry&, const OciExport&);

}  // namespace kiln
