#pragma once
// What a VHD file says of itself, checked. Source: Microsoft, "Virtual Hard Disk Image Format Specification" (2006);
// the names of sections below are its. All integers are big-endian.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <kiln/file.h>
#include <kiln/finding.h>

namespace kiln::vhd {

inline constexpr std::uint64_t sector = 512;
inline constexpr std::uint64_t footer_size = 512;
inline constexpr std::uint64_t header_size = 1024;
inline constexpr std::uint32_t version_1 = 0x00010000;
inline constexpr std::uint32_t unused_block = 0xffffffff;
/// Of dynamic disks: block numbers count sectors in 32 bits; QEMU and Hyper-V stop at 2040 GiB.
inline constexpr std::uint64_t largest_disk = std::uint64_t{2040} << 30;

enum Type : std::uint32_t { fixed = 2, dynamic = 3, differencing = 4 };

/// "Disk Geometry": cylinders, heads, sectors per track.
struct Geometry {
  std::uint16_t cylinders = 0;
  std::uint8_t heads = 0, sectors = 0;

  std::uint64_t bytes() const noexcept { return std::uint64_t{cylinders} * heads * sectors * sector; }
  /// The largest there is: it means "too large for a geometry".
  bool saturated() const noexcept { return cylinders == 65535 && heads == 16 && sectors == 255; }
};

/// "Appendix: CHS Calculation". Never more bytes than `size`.
Geometry geometry_of(std::uint64_t size);

/// "Hard Disk Footer Format": the last 512 bytes of every VHD, and the first 512 of a dynamic one.
struct Footer {
  std::uint32_t version = version_1;
  std::uint64_t data_offset = ~std::uint64_t{0};  ///< of the dynamic header; all ones in a fixed disk
  std::uint32_t timestamp = 0;                    ///< seconds since 2000-01-01 UTC
  std::string creator, host;                      ///< four bytes each
  std::uint32_t creator_version = 0;
  std::uint64_t original_size = 0, current_size = 0;
  Geometry geometry;
  std::uint32_t type = 0;
  std::array<std::byte, 16> uuid{};
  bool saved_state = false;

  std::array<std::byte, footer_size> encode() const;
};

/// One's complement of the sum of all bytes, those of the checksum at `field` left out.
std::uint32_t checksum(std::span<const std::byte>, std::size_t field);

/// A whole file, validated: every offset lies within the file and nothing overlaps.
struct Layout {
  Footer footer;
  bool footer_from_copy = false;  ///< the one at the end is damaged, the one at the start was taken
  std::uint64_t file_size = 0;
  std::uint64_t data_end = 0;  ///< where the trailing footer starts
  /// Dynamic only.
  std::uint32_t block_size = 0;
  std::uint64_t bitmap_size = 0;   ///< bytes before a block's data, whole sectors
  std::vector<std::uint32_t> bat;  ///< first sector of each block that the disk has, or unused_block

  bool is_fixed() const noexcept { return footer.type == fixed; }
  /// The most bytes that any reading of the size can mean and the container holds; see Reader for the one that counts.
  std::uint64_t capacity = 0;
};

/// Whether the bytes carry a footer's mark.
bool has_mark(std::span<const std::byte>);

/// Reads and validates. Throws refused() for a differencing disk, Error for what is damaged or truncated.
Layout read_layout(const File&);

/// How the footer's creator meant its size: by "Current Size", or by "Disk Geometry", which knows whole cylinders only.
enum class SizeRule { current_size, geometry };
SizeRule size_rule(const Footer&);

}  // namespace kiln::vhd
