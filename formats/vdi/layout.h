#pragma once
// What a VDI file says of itself, checked. Sources: VirtualBox, src/VBox/Storage/VDICore.h and VDI.cpp (structures,
// limits), and QEMU, block/vdi.c. All integers are little-endian; offsets are bytes from the file's start.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <kiln/file.h>
#include <kiln/finding.h>

namespace kiln::vdi {

inline constexpr std::uint64_t sector = 512;
inline constexpr std::size_t header_end = 472;     ///< of the largest header known, VDIHEADER1PLUS
inline constexpr std::uint32_t header_size = 400;  ///< its size, counted from `header_size_at`
inline constexpr std::uint32_t signature = 0xbeda107f;
inline constexpr std::uint32_t version_1_1 = 0x00010001;
/// 64 MiB of block map: 16 TiB with the usual blocks of 1 MiB.
inline constexpr std::uint64_t most_blocks = 16u << 20;

/// Where the fields of VDIPREHEADER and VDIHEADER1PLUS lie.
enum Field : std::size_t {
  text_at = 0,
  signature_at = 64,
  version_at = 68,
  header_size_at = 72,
  type_at = 76,
  flags_at = 80,
  map_offset_at = 340,
  data_offset_at = 344,
  old_sector_size_at = 360,
  disk_size_at = 368,
  block_size_at = 376,
  block_extra_at = 380,
  blocks_at = 384,
  allocated_at = 388,
  uuid_at = 392,
  modified_uuid_at = 408,
  link_uuid_at = 424,
  parent_uuid_at = 440,
  sector_size_at = 468,
};

/// VDIIMAGETYPE.
enum Type : std::uint32_t { dynamic = 1, fixed = 2, undo = 3, differencing = 4 };

/// Entries of the block map that are no block: never written, and discarded. Both read as zeros in a base image.
inline constexpr std::uint32_t unused_block = 0xffffffff, zero_block = 0xfffffffe;
constexpr bool is_allocated(std::uint32_t entry) {
  return entry < zero_block;
}

/// A whole file, validated: every block lies within it and none is used twice.
struct Layout {
  std::string creator;  ///< the text at the file's start: "<<< Oracle VM VirtualBox Disk Image >>>"
  std::uint32_t type = 0;
  std::array<std::byte, 16> uuid{};
  std::uint64_t file_size = 0;
  std::uint64_t disk_size = 0;  ///< as the header says it; need not be whole sectors
  std::uint64_t block_size = 0;
  std::uint64_t block_extra = 0;  ///< bytes before each block's data that belong to the container
  std::uint64_t data_offset = 0;
  std::uint32_t allocated_says = 0, allocated = 0;  ///< blocks in use: by the header, by the map
  std::vector<std::uint32_t> map;                   ///< one entry per block of the disk

  std::uint64_t stride() const noexcept { return block_size + block_extra; }
  /// Where the data of an allocated block starts.
  std::uint64_t data_at(std::size_t block) const noexcept { return data_offset + map[block] * stride() + block_extra; }
};

/// Whether the bytes of a file's start carry the signature.
bool has_mark(std::span<const std::byte> head);

/// Reads and validates. Throws refused() for an image that needs a parent, Error for what is damaged, truncated or too
/// large.
Layout read_layout(const File&);

}  // namespace kiln::vdi
