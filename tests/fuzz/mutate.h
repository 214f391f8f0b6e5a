#pragma once
// Deterministic damage, aimed at where formats keep their structures.

#include <cstdint>
#include <vector>

#include "seeds.h"

namespace kiln::fuzz {

/// The `number`-th mutation of a seed: always the same. A few fields changed to values that break things, bytes
/// flipped, blocks copied over each other, the file cut or grown.
std::vector<std::byte> mutated(const std::vector<std::byte>& seed, std::uint64_t number);

}  // namespace kiln::fuzz
