#pragma once
// Headers of a tar's members, made by libarchive.

#include <array>
#include <cstdint>
#include <string>

namespace kiln::ova {

inline constexpr std::uint64_t tar_block = 512;

/// ustar. A member of 8 GiB or more, whose size has no room in it, has the size in base 256, as GNU tar has it. Owner
/// and time are always the same. `name`: at most 100 characters.
std::array<std::byte, tar_block> member_header(const std::string& name, std::uint64_t size);

/// Whole blocks.
constexpr std::uint64_t in_blocks(std::uint64_t bytes) {
  return (bytes + tar_block - 1) / tar_block * tar_block;
}

}  // namespace kiln::ova
