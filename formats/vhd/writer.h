#pragma once
// Makes VHD files that Hyper-V, Azure, XenServer and QEMU read alike.

#include <cstdint>
#include <filesystem>
#include <vector>

#include <kiln/block.h>
#include <kiln/file.h>
#include <kiln/hash.h>

#include "layout.h"

namespace kiln::vhd {

/// One sink for both kinds. The same content gives the same bytes: the timestamp is zero and the disk's identifier is
/// derived from the content.
///
/// A dynamic file: copy of the footer, dynamic header, block table, blocks in disk order, footer.
class Writer final : public BlockSink {
 public:
  struct Settings {
    bool dynamic = true;
    /// Every program sees the size that the geometry expresses, rounded up to it; otherwise the exact one.
    bool by_geometry = false;
  };

  /// Throws invalid() when the size does not fit.
  Writer(const std::filesystem::path& file, std::uint64_t size, Settings);

  void append(Encoded&) override;
  void store(Encoded&) override;
  void finish() override;

 private:
  std::uint64_t place(std::uint64_t guest_offset) const;
  Footer footer();
  void write_dynamic_header();
  void write_bitmaps();

  NewFile made_;
  Settings settings_;
  std::uint64_t size_;
  std::vector<std::uint32_t> bat_;  ///< never grows: store() reads what append() has set before
  std::uint64_t end_ = 0;           ///< where the next block goes
  Hasher identity_;
};

}  // namespace kiln::vhd
