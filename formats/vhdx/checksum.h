#pragma once
// CRC-32C, by Boost.

#include <cstddef>
#include <cstdint>
#include <span>

#include "structures.h"

namespace kiln::vhdx {

/// Of a structure that may lie in two runs, one behind the other (the log is circular). The four bytes at `checksum_at`
/// count as zeros.
std::uint32_t checksum(std::span<const std::byte> first, std::span<const std::byte> second = {});

/// Whether the structure holds its own checksum.
bool checksum_fits(std::span<const std::byte> structure);

}  // namespace kiln::vhdx
