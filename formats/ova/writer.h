#pragma once
// Makes OVAs: a tar of an OVF descriptor, a manifest and streamOptimized VMDKs (DMTF DSP0243 1.1.1, 5.3, 6).
//
// The descriptor and the manifest go before the disks, and say what is known only behind them. Their lengths are known
// from the start, so their members are left free, and written last. A VMDK's own head, too, is known last: the
// manifest's digest of it is of what is in the file by then, mostly in the page cache.

#include <filesystem>
#include <optional>
#include <vector>

#include <kiln/file.h>
#include <kiln/format.h>

#include "envelope.h"
#include "formats/vmdk/writer.h"

namespace kiln::ova {

class Writer final : public Package {
 public:
  /// `sizes`: of the disks. `level`: of libdeflate. Throws invalid() when the machine has no room for so many.
  Writer(const std::filesystem::path& file, std::vector<std::uint64_t> sizes, Machine machine, int level);

  BlockSink& next_disk() override;
  void finish(const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) override;

 private:
  std::string member_name(const char* ending) const { return machine_.name + ending; }
  std::string disk_name(std::size_t number) const;
  std::string descriptor(std::vector<DiskMember> disks) const;
  void end_disk();
  void put(std::uint64_t at, const std::string& name, const std::string& content);

  struct Placed {
    std::uint64_t at = 0;  ///< of its first byte
    DiskMember member;
  };

  Machine machine_;
  std::vector<std::uint64_t> sizes_;
  int level_;
  std::uint64_t descriptor_size_ = 0;        ///< its member's, whatever the numbers in it will be
  std::uint64_t manifest_at_ = 0, end_ = 0;  ///< of members' headers: the manifest's, and the next disk's
  NewFile made_;
  std::vector<Placed> placed_;
  std::optional<vmdk::StreamWriter> disk_;  ///< the one that is being written
};

/// A package of one disk, as a sink.
class SingleDisk final : public BlockSink {
 public:
  explicit SingleDisk(std::unique_ptr<Package> package) : package_(std::move(package)), disk_(package_->next_disk()) {}

  bool knows(const Digest& digest) const override { return disk_.knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return disk_.encode(std::move(batch));
  }
  void append(Encoded& encoded) override { disk_.append(encoded); }
  void store(Encoded& encoded) override { disk_.store(encoded); }
  void finish() override {
    disk_.finish();
    package_->finish([](std::uint64_t, std::uint64_t) {});
  }

 private:
  std::unique_ptr<Package> package_;
  BlockSink& disk_;
};

}  // namespace kiln::ova
