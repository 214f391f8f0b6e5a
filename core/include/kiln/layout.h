#pragma once
// What a disk's first sectors say of it: how it is divided, and which firmware finds something to start.

#include <string>

#include <kiln/block.h>
#include <kiln/format.h>

namespace kiln {

struct DiskLayout {
  std::string kind;      ///< "gpt", "mbr", a file system such as "ext4", or "none"
  std::string firmware;  ///< "bios", "uefi", "bios,uefi"; empty when nothing to start was found
};

/// Reads at most 160 KiB of the disk. It is a look, not a proof: a damaged disk may look whole.
KILN_API DiskLayout look_at(const BlockReader&);

/// Throws refused() when the disk begins as one of the containers does: who finds formats by their content would open
/// that one instead, with all that it refers to. `name`: what the disk came from.
KILN_API void refuse_nested(const Formats&, const BlockReader&, const std::string& name);

/// For bytes that nobody has said to be a disk, and that have no container's mark: throws invalid() when no partition
/// table and no file system is on it, refused() when it is encrypted.
KILN_API void require_disk(const BlockReader&, const std::string& name);

}  // namespace kiln
