#pragma once
// What the file of a sparse extent says of itself. Source: VMware, "Virtual Disk Format 5.0" (2011), sections "Hosted
// Sparse Extents", "ESXi Host Sparse Extents" and "Stream-Optimized Compressed". All integers are little-endian, all
// offsets count sectors of 512 bytes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <kiln/file.h>
#include <kiln/finding.h>

namespace kiln::vmdk {

inline constexpr std::uint64_t sector = 512;
inline constexpr std::uint64_t header_sectors = 1;
/// The place of the grain directory is in the footer: "GD_AT_END".
inline constexpr std::uint64_t at_end = UINT64_MAX;
/// The footer's marker, the footer and the end-of-stream marker are the last three sectors.
inline constexpr std::uint64_t footer_sectors = 3;
inline constexpr std::uint64_t max_descriptor = 64 * 1024;

// "flags" of a hosted sparse extent.
inline constexpr std::uint32_t newline_detection = 1u << 0, redundant_directory = 1u << 1, zeroed_grains = 1u << 2;
inline constexpr std::uint32_t compressed_grains = 1u << 16, has_markers = 1u << 17;

/// Types of markers that are not a grain's.
enum Marker : std::uint32_t { end_of_stream = 0, grain_table = 1, grain_directory = 2, footer = 3 };

/// A header, of either kind: "KDMV" is a hosted sparse extent, "COWD" one of an ESX host.
struct Header {
  bool cowd = false;
  std::uint32_t version = 1;
  std::uint32_t flags = 0;
  std::uint64_t capacity = 0;                               ///< sectors of the disk
  std::uint64_t grain = 0;                                  ///< sectors in a grain
  std::uint64_t descriptor_at = 0, descriptor_sectors = 0;  ///< 0: no descriptor within
  std::uint32_t table_entries = 0;                          ///< grains of a grain table
  std::uint64_t redundant_at = 0;                           ///< the second directory; 0: none
  std::uint64_t directory_at = 0;
  std::uint64_t overhead = 0;
  bool unclean = false;  ///< "uncleanShutdown"
  std::uint16_t compression = 0;
  bool from_footer = false;  ///< the directory's place was
  std::uint64_t directory_entries = 0;

  bool is_compressed() const noexcept { return (flags & compressed_grains) != 0; }
  bool is_zero(std::uint32_t entry) const noexcept {
    return entry == 0 || (entry == 1 && (flags & zeroed_grains) != 0);
  }
  std::uint64_t grain_bytes() const noexcept { return grain * sector; }
  std::uint64_t table_bytes() const noexcept { return table_entries * std::uint64_t{4}; }
  std::uint64_t table_sectors() const noexcept { return (table_bytes() + sector - 1) / sector; }
  std::uint64_t directory_sectors() const noexcept { return (directory_entries * 4 + sector - 1) / sector; }
  /// Sectors of the disk that one grain table describes.
  std::uint64_t table_span() const noexcept { return table_entries * grain; }
};

/// "KDMV", "COWD".
bool is_hosted_sparse(std::span<const std::byte> head);
bool is_host_sparse(std::span<const std::byte> head);
/// The first half of a "seSparse" extent's header, which is not documented: known so that it can be named.
bool is_se_sparse(std::span<const std::byte> head);

/// Reads and checks the header, and the footer where the directory is at the end: sizes, limits, places within the
/// file. Not the tables. Throws Error or refused(), naming bytes and values.
Header read_header(const File&);

/// A hosted sparse header of 512 bytes.
std::array<std::byte, sector> encode(const Header&);
/// A marker of 512 bytes that announces `sectors` of metadata.
std::array<std::byte, sector> encode_marker(Marker, std::uint64_t sectors);

}  // namespace kiln::vmdk
