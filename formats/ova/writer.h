#pragma once
// Makes OVAs: a tar of an OVF descriptor, a manifest and a streamOptimized VMDK (DMTF DSP0243 1.1.1, 5.3, 6).
//
// The descriptor and the manifest go before the disk, and say what is known only behind it. Their lengths are known
// from the start, so their members are left free, and written last. The VMDK's own head, too, is known last: the
// manifest's digest of it is of what is in the file by then, mostly in the page cache.

#include <filesystem>

#include <kiln/block.h>
#include <kiln/file.h>

#include "envelope.h"
#include "formats/vmdk/writer.h"

namespace kiln::ova {

class Writer final : public BlockSink {
 public:
  /// `level`: of libdeflate.
  Writer(const std::filesystem::path& file, std::uint64_t size, Machine machine, int level);

  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return disk_.encode(std::move(batch));
  }
  void append(Encoded& encoded) override { disk_.append(encoded); }
  void store(Encoded& encoded) override { disk_.store(encoded); }
  void finish() override;

 private:
  std::string member_name(const char* ending) const { return machine_.name + ending; }
  std::string descriptor(std::uint64_t disk_size, std::uint64_t capacity) const;
  void put(std::uint64_t at, const std::string& name, const std::string& content);

  Machine machine_;
  std::uint64_t descriptor_size_;                ///< its member's, whatever the numbers in it will be
  std::uint64_t manifest_at_ = 0, disk_at_ = 0;  ///< of the members' headers
  NewFile made_;
  vmdk::StreamWriter disk_;
};

}  // namespace kiln::ova
