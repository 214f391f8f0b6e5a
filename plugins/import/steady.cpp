#include "steady.h"

#include <sys/stat.h>

#include <cerrno>

namespace kiln::import {
namespace {

class SteadyDisk final : public BlockReader {
 public:
  SteadyDisk(std::shared_ptr<const SteadyFile> guard, std::shared_ptr<const BlockReader> disk)
      : guard_(std::move(guard)), disk_(std::move(disk)) {
    guard_->check();
  }
  std::uint64_t size() const override { return disk_->size(); }
  Extent extent_at(std::uint64_t offset) const override {
    const Extent extent = disk_->extent_at(offset);
    guard_->check();
    return extent;
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    disk_->read(offset, into);
    guard_->check();
  }

 private:
  std::shared_ptr<const SteadyFile> guard_;
  std::shared_ptr<const BlockReader> disk_;
};

}  // namespace

Identity Identity::of(const struct stat& st) {
  const auto ns = [](const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; };
  return {st.st_dev, st.st_ino, static_cast<std::uint64_t>(st.st_size), ns(st.st_mtim), ns(st.st_ctim)};
}

Identity Identity::of(const File& file) {
  struct stat st {};
  if (::fstat(file.fd(), &st) != 0) throw system_error("cannot stat " + file.path().string(), errno);
  return of(st);
}

std::string Identity::text() const {
  std::string out;
  for (const std::uint64_t n : {device, inode, size}) out += std::to_string(n) + ':';
  return out + std::to_string(modified) + ':' + std::to_string(changed);
}

void SteadyFile::check() const {
  struct stat st {};
  if (!(Identity::of(file_) == identity_) || ::stat(file_.path().c_str(), &st) != 0 || !(Identity::of(st) == identity_))
    throw Error(file_.path().filename().string() + " was changed while it was read",
                "wait until whoever writes it is done, then run again");
}

std::shared_ptr<const BlockReader> keep_steady(std::shared_ptr<const SteadyFile> guard,
                                               std::shared_ptr<const BlockReader> disk) {
  if (!guard) return disk;
  return std::make_shared<SteadyDisk>(std::move(guard), std::move(disk));
}

}  // namespace kiln::import
