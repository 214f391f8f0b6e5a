#include "machine/stopped_disk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <kiln/file.h>

namespace kiln {
namespace {

// QEMU's locks of image files (block/file-posix.c of QEMU 7.2): byte 100 + n is locked by who uses permission n of the
// file, byte 200 + n by who does not share it with others. Permission 1 is writing.
constexpr off_t writes = 101, shares_no_writes = 201;

/// Nobody writes to the file, and no QEMU will while this lives.
class WritersKeptOut {
 public:
  WritersKeptOut(const std::filesystem::path& file, const std::string& machine) : file_(File::open_read(file)) {
    struct flock lock {};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = shares_no_writes;
    lock.l_len = 1;
    if (::fcntl(file_.fd(), F_OFD_SETLK, &lock) != 0) throw system_error("cannot lock " + file.string(), errno);
    lock.l_type = F_WRLCK;
    lock.l_start = writes;
    if (::fcntl(file_.fd(), F_OFD_GETLK, &lock) != 0) throw system_error("cannot lock " + file.string(), errno);
    if (lock.l_type != F_UNLCK) throw Error("somebody writes to the disk of " + machine, "was it started meanwhile?");
  }

 private:
  File file_;
};

class StoppedDisk final : public BlockReader {
 public:
  StoppedDisk(WritersKeptOut lock, std::shared_ptr<const BlockReader> disk, std::optional<Manifest> base)
      : lock_(std::move(lock)), disk_(std::move(disk)), base_(std::move(base)) {
    for (std::uint64_t at = 0; at < disk_->size(); at += extents_.back().length)
      extents_.push_back(disk_->extent_at(at));
  }

  std::uint64_t size() const override { return disk_->size(); }
  Extent extent_at(std::uint64_t offset) const override {
    const Extent& found = *extent_with(offset);
    return {offset, found.offset + found.length - offset, found.data, found.inherited};
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override { disk_->read(offset, into); }

  /// What the overlay holds nothing of is as in the base, as far as that goes.
  std::optional<Digest> known_digest(std::uint64_t chunk) const override {
    if (!base_) return std::nullopt;
    const std::uint64_t end = std::min((chunk + 1) * chunk_size, size());
    if (base_->disk_size() != size() && (chunk + 1) * chunk_size > std::min(size(), base_->disk_size()))
      return std::nullopt;
    for (auto extent = extent_with(chunk * chunk_size); extent != extents_.end() && extent->offset < end; ++extent)
      if (!extent->inherited) return std::nullopt;
    return base_->at(chunk);
  }

 private:
  std::vector<Extent>::const_iterator extent_with(std::uint64_t offset) const {
    return std::prev(std::ranges::upper_bound(extents_, offset, {}, &Extent::offset));
  }

  WritersKeptOut lock_;
  std::shared_ptr<const BlockReader> disk_;
  std::optional<Manifest> base_;
  /// All of them: the pass asks for each several times, and to find an end in the tables is most of its work.
  std::vector<Extent> extents_;
};

constexpr std::uint64_t most_vars = 64u << 20;

/// Small, and read whole, so that it is of one moment too.
class ReadFile final : public BlockReader {
 public:
  explicit ReadFile(const std::filesystem::path& file) {
    const File from = File::open_read(file);
    if (from.size() > most_vars) throw Error("the firmware's variables are too large", "", {file.string()});
    bytes_.resize(from.size());
    from.read_at(0, bytes_);
  }
  std::uint64_t size() const override { return bytes_.size(); }
  Extent extent_at(std::uint64_t offset) const override { return {offset, size() - offset, true, false}; }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::ranges::copy(std::span(bytes_).subspan(offset, into.size()), into.begin());
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

std::shared_ptr<const BlockReader> open_stopped(const StoppedFile& disk) {
  WritersKeptOut lock(disk.file, disk.machine);
  return std::make_shared<StoppedDisk>(std::move(lock), disk.format.open(disk.file, disk.below), disk.base);
}

std::shared_ptr<const BlockReader> read_vars_file(const std::filesystem::path& file) {
  return std::make_shared<ReadFile>(file);
}

}  // namespace kiln
