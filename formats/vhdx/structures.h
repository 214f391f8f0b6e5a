#pragma once
// What the structures of a VHDX have in common. Source: [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format"; sections
// are its. All integers are little-endian.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kiln::vhdx {

inline constexpr std::uint64_t kib = 1024, mib = 1024 * kib, tib = mib * mib;

// 2.2 "Header section": the first MiB.
inline constexpr std::uint64_t header_section = mib;
inline constexpr std::uint64_t header_at[2] = {64 * kib, 128 * kib};
inline constexpr std::uint64_t region_table_at[2] = {192 * kib, 256 * kib};
inline constexpr std::size_t header_size = 4 * kib, region_table_size = 64 * kib;
/// Every checksum lies behind its structure's signature of four bytes.
inline constexpr std::size_t checksum_at = 4;
/// The most entries that a region table or a metadata table has.
inline constexpr std::uint32_t most_table_entries = 2047;

/// The unit of everything that lies behind the header section.
inline constexpr std::uint64_t alignment = mib;
inline constexpr std::uint64_t smallest_block = mib, largest_block = 256 * mib;
inline constexpr std::uint64_t largest_disk = 64 * tib;
/// Twice of what the largest disk takes: more is no VHDX. It bounds what the check for overlaps holds in memory.
inline constexpr std::uint64_t largest_file = 2 * largest_disk;

/// As it is in the file: the first three groups of the text are little-endian.
using Guid = std::array<std::byte, 16>;

constexpr Guid guid(std::string_view text) {
  constexpr std::size_t place[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  Guid out{};
  std::size_t digit = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int value = c <= '9' ? c - '0' : c - 'A' + 10;
    std::byte& b = out[place[digit / 2]];
    b = (b << 4) | static_cast<std::byte>(value);
    ++digit;
  }
  return out;
}

// 2.2.3.2 "Region Table Entry".
inline constexpr Guid bat_region = guid("2DC27766-F623-4200-9D64-115E9BFD4A08");
inline constexpr Guid metadata_region = guid("8B7CA206-4790-4B9A-B8FE-575F050F886E");

// 2.6.2 "Known Metadata Items".
inline constexpr Guid file_parameters = guid("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
inline constexpr Guid virtual_disk_size = guid("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
inline constexpr Guid virtual_disk_id = guid("BECA12AB-B2E6-4523-93EF-C309E000C746");
inline constexpr Guid logical_sector_size = guid("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
inline constexpr Guid physical_sector_size = guid("CDA348C7-445D-4471-9CC9-E9885251C556");
inline constexpr Guid parent_locator = guid("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");

// 2.6.1.2 "Metadata Table Entry" and 2.6.2.1 "File Parameters": their flags.
inline constexpr std::uint32_t is_user = 1, is_virtual_disk = 2, is_required = 4;
inline constexpr std::uint32_t leave_blocks_allocated = 1, has_parent = 2;

/// 2.5.1.1 "Payload BAT Entry States".
enum BlockState : std::uint64_t {
  not_present = 0,
  undefined = 1,
  zero = 2,
  unmapped = 3,
  fully_present = 6,
  partially_present = 7,
};

}  // namespace kiln::vhdx
