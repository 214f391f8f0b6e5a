#include "writer.h"

#include <kiln/hash.h>

#include "member.h"

namespace kiln::ova {
namespace {

constexpr const char *ovf = ".ovf", *mf = ".mf";
constexpr std::size_t digest_digits = 64;

/// As VMware writes it.
std::string manifest_line(const std::string& name, const std::string& digest) {
  return "SHA256(" + name + ")= " + digest + '\n';
}

/// Digests of runs of the file, and how far all of them are.
class Digester {
 public:
  using Progress = std::function<void(std::uint64_t, std::uint64_t)>;
  Digester(const File& file, std::uint64_t total, const Progress& progress)
      : file_(file), total_(total), progress_(progress), buffer_(1 << 20) {}

  std::string of(std::uint64_t at, std::uint64_t length) {
    Hasher hasher;
    for (std::uint64_t read = 0; read < length;) {
      const auto part = std::span(buffer_).first(std::min<std::uint64_t>(buffer_.size(), length - read));
      file_.read_at(at + read, part);
      hasher.update(part);
      read += part.size();
      progress_(done_ += part.size(), total_);
    }
    return hasher.hex();
  }

 private:
  const File& file_;
  std::uint64_t total_, done_ = 0;
  const Progress& progress_;
  std::vector<std::byte> buffer_;
};

}  // namespace

std::string Writer::disk_name(std::size_t number) const {
  return machine_.name + "-disk" + std::to_string(number + 1) + ".vmdk";
}

/// Always of the same length: white space may follow an XML document's element.
std::string Writer::descriptor(std::vector<DiskMember> disks) const {
  std::string text = envelope(machine_, disks);
  for (DiskMember& disk : disks) disk.size = disk.capacity = UINT64_MAX;
  text.resize(envelope(machine_, disks).size(), '\n');
  return text;
}

Writer::Writer(const std::filesystem::path& file, std::vector<std::uint64_t> sizes, Machine machine, int level)
    : machine_(std::move(machine)), sizes_(std::move(sizes)), level_(level), made_(file) {
  if (sizes_.size() > most_disks(machine_))
    throw invalid("an OVA of this machine has no room for " + std::to_string(sizes_.size()) + " disks",
                  std::to_string(most_disks(machine_)) + " are the most at its controller");
  std::vector<DiskMember> disks;
  std::uint64_t manifest = manifest_line(member_name(ovf), std::string(digest_digits, '0')).size();
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    disks.push_back({.name = disk_name(i)});
    manifest += manifest_line(disk_name(i), std::string(digest_digits, '0')).size();
  }
  descriptor_size_ = descriptor(std::move(disks)).size();
  manifest_at_ = tar_block + in_blocks(descriptor_size_);
  end_ = manifest_at_ + tar_block + in_blocks(manifest);
}

void Writer::put(std::uint64_t at, const std::string& name, const std::string& content) {
  made_.file().write_at(at, member_header(name, content.size()));
  made_.file().write_at(at + tar_block, std::as_bytes(std::span(content)));
}

BlockSink& Writer::next_disk() {
  end_disk();
  disk_.emplace(made_.file(), end_ + tar_block, sizes_.at(placed_.size()), "lsilogic", level_);
  return *disk_;
}

void Writer::end_disk() {
  if (!disk_) return;
  const std::size_t number = placed_.size();
  placed_.push_back({end_ + tar_block, {disk_name(number), disk_->bytes(), disk_->capacity()}});
  disk_.reset();
  made_.file().write_at(end_, member_header(disk_name(number), placed_.back().member.size));
  end_ = placed_.back().at + in_blocks(placed_.back().member.size);
}

void Writer::finish(const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  end_disk();
  std::vector<DiskMember> disks;
  std::uint64_t total = 0;
  for (const Placed& disk : placed_) {
    disks.push_back(disk.member);
    total += disk.member.size;
  }
  const std::string text = descriptor(std::move(disks));
  std::string manifest = manifest_line(member_name(ovf), to_hex(sha256(text)));
  Digester digester(made_.file(), total, progress);
  for (const Placed& disk : placed_)
    manifest += manifest_line(disk.member.name, digester.of(disk.at, disk.member.size));
  put(0, member_name(ovf), text);
  put(manifest_at_, member_name(mf), manifest);
  made_.file().truncate(end_ + 2 * tar_block);  // the end mark: two blocks of zeros
  made_.keep();
}

}  // namespace kiln::ova
