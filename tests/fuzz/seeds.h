#pragma once
// Small sound files to start from.

#include <string>
#include <vector>

#include <kiln/format.h>

namespace kiln::fuzz {

struct Seed {
  std::string name;
  std::vector<std::byte> bytes;
};

/// Files of a few KiB: the format's own, with each choice of its options, and those that qemu-img makes of variants
/// that kiln does not write. `folder` is scratch space.
std::vector<Seed> seeds(const Format&, const std::filesystem::path& folder);

}  // namespace kiln::fuzz
