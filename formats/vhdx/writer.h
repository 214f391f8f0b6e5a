#pragma once
// Makes dynamic VHDX files that Hyper-V and QEMU read alike.

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include <kiln/block.h>
#include <kiln/file.h>
#include <kiln/hash.h>

#include "structures.h"

namespace kiln::vhdx {

/// The same content gives the same bytes: the file's GUIDs are derived from it.
///
/// The file: header section, an empty log, metadata, block table, blocks in disk order. What is not data within a block
/// is a hole of the file. Blocks that are not there are said to be zeros; the specification leaves the content of those
/// that are only not present to the reader.
class Writer final : public BlockSink {
 public:
  /// `block_size` 0: the best one. Throws invalid() when a size does not fit.
  Writer(const std::filesystem::path& file, std::uint64_t size, std::uint64_t block_size);

  void append(Encoded&) override;
  void store(Encoded&) override;
  void finish() override;

 private:
  std::uint64_t entry_of(std::uint64_t block) const { return block + block / chunk_ratio_; }
  Guid make_guid(std::string_view purpose) const;
  void write_headers();
  void write_regions();
  void write_metadata();
  void write_table();

  std::uint64_t block_size_, size_, chunk_ratio_;
  NewFile made_;
  std::vector<std::uint32_t> blocks_;  ///< their place in MiB, 0 for none. Never grows: store() reads what append() set
  std::uint64_t table_size_ = 0;       ///< of the block table's region
  std::uint64_t end_ = 0;              ///< where the next block goes
  Hasher hasher_;
  Digest identity_;
};

}  // namespace kiln::vhdx
