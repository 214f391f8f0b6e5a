#include "disk/overlay.h"

#include <kiln/endian.h>
#include <kiln/file.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

namespace kiln {
namespace {

constexpr std::uint64_t cluster = 64 * 1024;
constexpr std::uint64_t table_reach = cluster / 8 * cluster;                    // guest bytes of one L2 table: 512 MiB
constexpr std::uint64_t largest = (std::uint64_t{32} << 20) / 8 * table_reach;  // QEMU takes L1 tables of up to 32 MiB
constexpr std::size_t longest_name = 1023;
constexpr std::uint32_t format_extension = 0xE2792ACA;

// The file's layout: the header, the refcount table, one refcount block, the L1 table. One block counts 32768
// clusters; the largest L1 table takes 512.
constexpr std::uint64_t refcount_table_at = cluster, refcount_block_at = 2 * cluster, l1_table_at = 3 * cluster;

std::vector<std::byte> make_header(std::uint64_t size, std::uint64_t l1_entries, const std::string& backing,
                                   std::string_view format) {
  std::vector<std::byte> h(cluster);
  put_be<std::uint32_t>(h, 0, 0x514649FB);  // "QFI\xfb"
  put_be<std::uint32_t>(h, 4, 3);           // version
  put_be<std::uint32_t>(h, 20, 16);         // cluster_bits
  put_be<std::uint64_t>(h, 24, size);
  put_be<std::uint32_t>(h, 36, static_cast<std::uint32_t>(l1_entries));
  put_be<std::uint64_t>(h, 40, l1_table_at);
  put_be<std::uint64_t>(h, 48, refcount_table_at);
  put_be<std::uint32_t>(h, 56, 1);     // clusters of the refcount table
  put_be<std::uint32_t>(h, 96, 4);     // refcount_order: 16 bits
  put_be<std::uint32_t>(h, 100, 104);  // header_length
  if (backing.empty()) return h;       // the extensions end with the zeros that are there
  put_be<std::uint32_t>(h, 104, format_extension);
  put_be<std::uint32_t>(h, 108, static_cast<std::uint32_t>(format.size()));
  std::memcpy(h.data() + 112, format.data(), format.size());
  const std::size_t name_at = 112 + (format.size() + 7) / 8 * 8 + 8;
  std::memcpy(h.data() + name_at, backing.data(), backing.size());
  put_be<std::uint64_t>(h, 8, name_at);
  put_be<std::uint32_t>(h, 16, static_cast<std::uint32_t>(backing.size()));
  return h;
}

void create(const std::filesystem::path& path, std::uint64_t size, const std::string& backing,
            std::string_view format) {
  if (size == 0 || size > largest)
    throw invalid("a disk of " + std::to_string(size) + " bytes does not fit qcow2",
                  "give a size from one byte to 2 PiB");
  const std::uint64_t whole = (size + 511) / 512 * 512;
  const std::uint64_t l1_entries = (whole + table_reach - 1) / table_reach;
  const std::uint64_t clusters = 3 + (l1_entries * 8 + cluster - 1) / cluster;
  std::array<std::byte, 8> table{};
  put_be<std::uint64_t>(table, 0, refcount_block_at);
  std::vector<std::byte> block(clusters * 2);
  for (std::uint64_t i = 0; i < clusters; ++i) put_be<std::uint16_t>(block, i * 2, 1);

  NewFile made(path);
  made.file().truncate(clusters * cluster);
  made.file().write_at(0, make_header(whole, l1_entries, backing, format));
  made.file().write_at(refcount_table_at, table);
  made.file().write_at(refcount_block_at, block);
  made.keep();
}

}  // namespace

void create_overlay(const std::filesystem::path& file, std::uint64_t size, const std::filesystem::path& backing,
                    std::string_view backing_format) {
  std::string name = backing.string();
  // QEMU takes what stands before a colon for a protocol, unless a slash comes first.
  if (backing.is_relative() && name.find(':') != std::string::npos) name.insert(0, "./");
  if (name.empty() || name.size() > longest_name)
    throw invalid("the path of a backing file has " + std::to_string(name.size()) + " bytes; qcow2 takes 1 to 1023",
                  "use a folder with a shorter path");
  if (backing_format.empty() || backing_format.size() > 64)
    throw invalid("a backing file needs its format", "name the format, for example \"qcow2\"");
  create(file, size, name, backing_format);
}

void create_empty(const std::filesystem::path& file, std::uint64_t size) {
  create(file, size, {}, {});
}

}  // namespace kiln
