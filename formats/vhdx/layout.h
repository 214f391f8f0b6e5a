#pragma once
// 2.2.3 "Region Tables" and 2.6 "Metadata Region", checked.

#include <cstdint>
#include <string>
#include <vector>

#include "container.h"
#include "structures.h"

namespace kiln::vhdx {

/// Where a structure lies in the file.
struct Region {
  std::string name;
  std::uint64_t start = 0, end = 0;
};

struct Layout {
  /// Header section, log and regions: they lie within the file and not on each other. No block may lie on one.
  std::vector<Region> structures;
  bool first_table_damaged = false, second_table_damaged = false;
  Region bat, metadata;

  bool fixed = false;  ///< all blocks stay allocated
  std::uint64_t block_size = 0;
  std::uint64_t disk_size = 0;
  std::uint32_t logical_sector = 0, physical_sector = 0;
  Guid disk_id{};  ///< what the guest sees as SCSI page 0x83

  std::uint64_t blocks() const noexcept { return (disk_size + block_size - 1) / block_size; }
  /// 2.5 "BAT": that many entries of blocks are followed by one of a sector bitmap, which only a disk with a parent
  /// uses.
  std::uint64_t chunk_ratio() const noexcept { return (std::uint64_t{1} << 23) * logical_sector / block_size; }
  /// Index of a block's entry.
  std::uint64_t entry_of(std::uint64_t block) const noexcept { return block + block / chunk_ratio(); }
};

/// Throws refused() for a disk that needs a parent, Error for what is damaged, truncated or not supported.
Layout read_layout(const Container&);

/// The second half of it: what the metadata says of the disk, into `layout`.
void read_metadata(const Container&, Layout& layout);

}  // namespace kiln::vhdx
