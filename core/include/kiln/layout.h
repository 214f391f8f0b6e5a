#pragma once
// What a disk's first sectors say of it: how it is divided, and which firmware finds something to start.

#include <string>

#include <kiln/block.h>

namespace kiln::import {

struct Layout {
  std::string kind;      ///< "gpt", "mbr", a file system such as "ext4", or "none"
  std::string firmware;  ///< "bios", "uefi", "bios,uefi"; empty when nothing to start was found
};

/// Reads at most 160 KiB of the disk. It is a look, not a proof: a damaged disk may look whole.
Layout look_at(const BlockReader&);

}  // namespace kiln::import
