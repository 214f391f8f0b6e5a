#include "writer.h"

#include <vector>

#include <kiln/hash.h>

#include "member.h"

namespace kiln::ova {
namespace {

constexpr const char *ovf = ".ovf", *mf = ".mf", *vmdk_name = "-disk1.vmdk";
constexpr std::size_t digest_digits = 64;

/// As VMware writes it.
std::string manifest_line(const std::string& name, const std::string& digest) {
  return "SHA256(" + name + ")= " + digest + '\n';
}

std::string digest_of(const File& file, std::uint64_t at, std::uint64_t length) {
  Hasher hasher;
  std::vector<std::byte> buffer(1 << 20);
  for (std::uint64_t done = 0; done < length;) {
    const std::span<std::byte> part = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), length - done));
    file.read_at(at + done, part);
    hasher.update(part);
    done += part.size();
  }
  return hasher.hex();
}

}  // namespace

std::string Writer::descriptor(std::uint64_t disk_size, std::uint64_t capacity) const {
  return envelope(machine_, {member_name(vmdk_name), disk_size, capacity});
}

Writer::Writer(const std::filesystem::path& file, std::uint64_t size, Machine machine, int level)
    : machine_(std::move(machine)),
      descriptor_size_(descriptor(UINT64_MAX, UINT64_MAX).size()),
      manifest_at_(tar_block + in_blocks(descriptor_size_)),
      disk_at_(manifest_at_ + tar_block +
               in_blocks(manifest_line(member_name(ovf), std::string(digest_digits, '0')).size() +
                         manifest_line(member_name(vmdk_name), std::string(digest_digits, '0')).size())),
      made_(file),
      disk_(made_.file(), disk_at_ + tar_block, size, "lsilogic", level) {}

void Writer::put(std::uint64_t at, const std::string& name, const std::string& content) {
  made_.file().write_at(at, member_header(name, content.size()));
  made_.file().write_at(at + tar_block, std::as_bytes(std::span(content)));
}

void Writer::finish() {
  disk_.finish();
  const std::uint64_t begin = disk_at_ + tar_block, size = disk_.bytes();
  made_.file().write_at(disk_at_, member_header(member_name(vmdk_name), size));
  std::string text = descriptor(size, disk_.capacity());
  text.resize(descriptor_size_, '\n');  // white space may follow an XML document's element
  put(0, member_name(ovf), text);
  put(manifest_at_, member_name(mf),
      manifest_line(member_name(ovf), to_hex(sha256(text))) +
          manifest_line(member_name(vmdk_name), digest_of(made_.file(), begin, size)));
  made_.file().truncate(begin + in_blocks(size) + 2 * tar_block);  // the end mark: two blocks of zeros
  made_.keep();
}

}  // namespace kiln::ova
