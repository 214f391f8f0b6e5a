#pragma once
// The header of a qcow2 file and its extensions, parsed strictly.
//
// Source: QEMU, docs/interop/qcow2, "Header" and "Header extensions". All integers are big-endian.

#include <cstdint>
#include <string>
#include <vector>

#include <kiln/file.h>
#include <kiln/finding.h>

#include "compress.h"

namespace kiln::qcow2 {

inline constexpr std::uint32_t magic = 0x514649fb;  ///< "QFI\xfb"
inline constexpr std::uint32_t min_cluster_bits = 9, max_cluster_bits = 21;
/// The active L1 table of QEMU may have 32 MiB; a file beyond that could be opened by nobody.
inline constexpr std::uint64_t max_l1_bytes = 32u << 20;

/// Bits of incompatible_features (bytes 72..79): who does not know a set one must not open the file.
inline constexpr std::uint64_t incompatible_dirty = 1u << 0;         ///< refcounts may be stale; content is not
inline constexpr std::uint64_t incompatible_corrupt = 1u << 1;       ///< a writer found the metadata inconsistent
inline constexpr std::uint64_t incompatible_data_file = 1u << 2;     ///< the clusters are in another file
inline constexpr std::uint64_t incompatible_compression = 1u << 3;   ///< byte 104 is not 0 (deflate)
inline constexpr std::uint64_t incompatible_extended_l2 = 1u << 4;   ///< L2 entries of 16 bytes, 32 subclusters
inline constexpr std::uint64_t compatible_lazy_refcounts = 1u << 0;  ///< of compatible_features (bytes 80..87)
inline constexpr std::uint64_t autoclear_raw_data_file = 1u << 1;    ///< of autoclear_features (bytes 88..95)

/// Type numbers of header extensions.
inline constexpr std::uint32_t extension_end = 0, extension_features = 0x6803f857, extension_data_file = 0x44415441;

/// What bytes 0..header_length say, in the specification's own terms, plus what the extensions add.
struct Header {
  std::uint32_t version = 3;
  std::uint64_t backing_offset = 0;
  std::uint32_t cluster_bits = 16;
  std::uint64_t size = 0;  ///< of the disk, in bytes
  std::uint32_t l1_entries = 0;
  std::uint64_t l1_offset = 0;
  std::uint64_t refcount_table_offset = 0;
  std::uint32_t refcount_table_clusters = 0;
  std::uint32_t snapshots = 0;
  std::uint64_t snapshots_offset = 0;
  std::uint64_t incompatible = 0, compatible = 0, autoclear = 0;
  std::uint32_t refcount_order = 4;  ///< a refcount has 2^order bits
  std::uint32_t length = 104;
  Compression compression = Compression::deflate;

  std::uint64_t cluster_size() const { return std::uint64_t{1} << cluster_bits; }
  bool extended_l2() const { return (incompatible & incompatible_extended_l2) != 0; }
  std::uint64_t l2_entry_bytes() const { return extended_l2() ? 16 : 8; }
  std::uint64_t l2_entries() const { return cluster_size() / l2_entry_bytes(); }
  /// Bytes of the disk that one L2 table maps.
  std::uint64_t l2_span() const { return l2_entries() << cluster_bits; }
  /// L1 entries that the disk's size needs; the table may be longer.
  std::uint64_t l1_needed() const { return size / l2_span() + (size % l2_span() != 0 ? 1 : 0); }
};

/// A file with its parsed header. Immutable, so any thread may read it.
struct Image {
  File file;
  std::uint64_t file_size = 0;
  Header header;
};

/// Opens and validates: every field, every table's place within the file.
///
/// `is_layer`: the file is an overlay of kiln's own, and its backing name is ignored instead of refused. Throws
/// refused() naming the field and its value for a reference to another file, encryption and features that are not
/// known; Error for what is damaged or truncated.
Image open_image(File, bool is_layer);

}  // namespace kiln::qcow2
