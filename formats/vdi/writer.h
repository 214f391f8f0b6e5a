#pragma once
// Makes VDI files that VirtualBox and QEMU read.

#include <cstdint>
#include <filesystem>
#include <vector>

#include <kiln/block.h>
#include <kiln/file.h>
#include <kiln/hash.h>

#include "layout.h"

namespace kiln::vdi {

/// One sink for both kinds. The same content gives the same bytes: the UUIDs are derived from it.
///
/// The file is laid out as VirtualBox does it: header, block map at 1 MiB, blocks of 1 MiB in disk order. What is not
/// data within a block is a hole of the file.
class Writer final : public BlockSink {
 public:
  /// Throws invalid() when the size does not fit.
  Writer(const std::filesystem::path& file, std::uint64_t size, Type);

  void append(Encoded&) override;
  void store(Encoded&) override;
  void finish() override;

 private:
  void write_header();
  void write_map();

  NewFile made_;
  Type type_;
  std::uint64_t size_;
  std::uint64_t data_offset_ = 0;
  std::uint32_t allocated_ = 0;
  std::vector<std::uint32_t> map_;  ///< never grows: store() reads what append() has set before
  Hasher identity_;
};

}  // namespace kiln::vdi
