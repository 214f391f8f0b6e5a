#pragma once
// A pack: the file that chunks are stored in. Written once by one publish (pack_writer.h), never changed afterwards.
//
// Layout, little-endian; docs/store.md says why:
//
//     0   8  magic "KILNPAK1"
//     8  24  zero
//    32      records, one after the other:
//              0   4  magic "KCHK"
//              4   4  stored length
//              8   1  codec (codec.h)
//              9   7  zero
//             16  32  SHA-256 of the chunk
//             48      the stored bytes
//     then   the index, 48 bytes for each record in the same order:
//              0  32  SHA-256 of the chunk
//             32   8  offset of its record in the file
//             40   4  stored length
//             44   1  codec
//             45   3  zero
//     last 64 bytes:
//              0   8  magic "KILNIDX1"
//              8   8  number of records
//             16   8  offset of the index
//             24   8  zero
//             32  32  SHA-256 of the index

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <kiln/digest.h>
#include <kiln/file.h>

#include "catalog/codec.h"

namespace kiln {

inline constexpr std::size_t pack_header_size = 32, record_header_size = 48, index_entry_size = 48,
                             pack_footer_size = 64;

/// Where a chunk is in its pack.
struct PackEntry {
  Digest digest;
  std::uint64_t offset = 0;  ///< of the record
  std::uint32_t stored = 0;  ///< length of the stored bytes
  Codec codec = Codec::raw;
};

void put_pack_header(std::span<std::byte> into);
void put_record_header(std::span<std::byte> into, const PackEntry&);
/// The record of a chunk: header and stored bytes. Any thread.
std::vector<std::byte> make_record(const Digest&, std::span<const std::byte> chunk);
/// Fills `into` (chunk_size bytes) from a whole record, header and stored bytes. Why it is not the chunk of that
/// digest; empty when it is. Any thread.
std::string decode_record(std::span<const std::byte> record, const Digest&, std::span<std::byte> into);
/// The index and the footer, to be written at `offset`.
std::vector<std::byte> make_index(std::span<const PackEntry>, std::uint64_t offset);

/// An open pack. Any thread may read it; it stays readable when its name is removed.
class PackFile {
 public:
  /// Reads the index. When that is damaged, the records are walked instead, up to the first one that is no record.
  explicit PackFile(const std::filesystem::path&);

  std::span<const PackEntry> entries() const noexcept { return entries_; }
  bool index_was_damaged() const noexcept { return index_damaged_; }
  const std::filesystem::path& path() const noexcept { return file_.path(); }

  /// Fills `into` (chunk_size bytes) and compares the SHA-256. Throws Error when it is damaged.
  void read(const PackEntry&, std::span<std::byte> into) const;
  /// Its record as it is stored; empty when the chunk cannot be read back as it was written.
  std::vector<std::byte> record(const PackEntry&) const;
  /// The chunk as it is stored, once its SHA-256 was compared; in `buffer`. Throws Error when it is damaged.
  std::span<const std::byte> read_stored(const PackEntry&, std::vector<std::byte>& buffer) const;
  /// Why a chunk and its record header cannot be read back as they were written; empty when they can.
  std::string damage(const PackEntry&) const;

 private:
  bool load_index();
  void walk_records();
  std::string try_read(const PackEntry&, std::span<std::byte> into) const;

  File file_;
  std::vector<PackEntry> entries_;
  bool index_damaged_ = false;
};

}  // namespace kiln
