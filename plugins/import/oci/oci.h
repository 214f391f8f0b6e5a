#pragma once
// A disk from an OCI image layout as kiln exports it (docs/oci.md), and as strangers may have changed it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <kiln/block.h>
#include <kiln/format.h>

namespace kiln::import {

struct OciDisk {
  std::shared_ptr<const BlockReader> disk;  ///< compares every chunk's digest when it is read
  std::string tag;                          ///< of the image in the layout; may be empty
  Digest content;                           ///< what the disk's digest will be
  std::uint64_t stored = 0;                 ///< bytes of all blobs
  Facts facts;                              ///< what the image says of itself, and "origin.*": where it says it is from
};

/// Whether the folder has the two files that every layout has.
bool is_oci_layout(const std::filesystem::path&);

/// What a run would read, as far as that can be told from the index alone: the same text, the same disk.
std::string oci_fingerprint(const std::filesystem::path& folder, const std::string& tag);

/// Finds the image, and verifies the size and the digest of each of its blobs before anything is made of them.
/// `tag` may be empty when there is one image. `progress` gets bytes verified and in all, and may throw.
/// Throws invalid() when there is no such image of kiln's, refused() for what leads out of the folder, and Error for
/// what is damaged.
OciDisk open_oci(const std::filesystem::path& folder, const std::string& tag,
                 const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace kiln::import
