#include "machine/overlay.h"

#include <string>
#include <vector>

#include <kiln/endian.h>
#include <kiln/error.h>
#include <kiln/file.h>

namespace kiln {
namespace {

constexpr std::uint64_t cluster = 1u << 16, l2_entries = cluster / 8, refcounts_of_a_block = cluster / 2;
constexpr std::uint64_t refcount_table_at = 1 * cluster, refcount_block_at = 2 * cluster, l1_at = 3 * cluster;
constexpr std::size_t header_length = 104, longest_backing_name = 1023;
constexpr std::uint32_t magic = 0x514649fb, backing_format_extension = 0xe2792aca;
// One refcount block must hold the counts of all clusters that are there.
constexpr std::uint64_t largest = (refcounts_of_a_block - 3) * (cluster / 8) * l2_entries * cluster;

std::uint64_t divided_up(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

std::size_t padded(std::size_t length) {
  return (length + 7) / 8 * 8;
}

void put_text(std::span<std::byte> into, std::size_t at, const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) into[at + i] = static_cast<std::byte>(text[i]);
}

/// The first cluster: header, the extension that names the base's format, the end of extensions, the base's name.
std::vector<std::byte> header_of(std::uint64_t size, std::uint64_t l1_size, const std::string& name,
                                 const std::string& format) {
  const std::size_t name_at = header_length + 8 + padded(format.size()) + 8;
  std::vector<std::byte> h(name_at + name.size());
  put_be<std::uint32_t>(h, 0, magic);
  put_be<std::uint32_t>(h, 4, 3);
  put_be<std::uint64_t>(h, 8, name_at);
  put_be<std::uint32_t>(h, 16, static_cast<std::uint32_t>(name.size()));
  put_be<std::uint32_t>(h, 20, 16);  // cluster_bits
  put_be<std::uint64_t>(h, 24, size);
  put_be<std::uint32_t>(h, 36, static_cast<std::uint32_t>(l1_size));
  put_be<std::uint64_t>(h, 40, l1_at);
  put_be<std::uint64_t>(h, 48, refcount_table_at);
  put_be<std::uint32_t>(h, 56, 1);  // refcount_table_clusters
  put_be<std::uint32_t>(h, 96, 4);  // refcount_order
  put_be<std::uint32_t>(h, 100, header_length);
  put_be<std::uint32_t>(h, header_length, backing_format_extension);
  put_be<std::uint32_t>(h, header_length + 4, static_cast<std::uint32_t>(format.size()));
  put_text(h, header_length + 8, format);
  put_text(h, name_at, name);
  return h;
}

}  // namespace

void write_overlay(const std::filesystem::path& file, std::uint64_t size, const DiskFile& base) {
  const std::string name = std::filesystem::absolute(base.file).string();
  if (name.size() > longest_backing_name)
    throw Error("the path of the image's disk is longer than the 1023 bytes that a qcow2 overlay can name",
                "set KILN_HOME to a shorter path", {name});
  if (size % 512 != 0 || size == 0 || size > largest)
    throw invalid("a disk of " + std::to_string(size) + " bytes can have no overlay");
  const std::uint64_t l1_size = divided_up(size, l2_entries * cluster);
  const std::uint64_t clusters = 3 + divided_up(l1_size * 8, cluster);
  NewFile made(file);
  made.file().truncate(clusters * cluster);
  made.file().write_at(0, header_of(size, l1_size, name, base.format));
  std::vector<std::byte> table(8), counts(clusters * 2);
  put_be<std::uint64_t>(table, 0, refcount_block_at);
  for (std::uint64_t i = 0; i < clusters; ++i) put_be<std::uint16_t>(counts, i * 2, 1);
  made.file().write_at(refcount_table_at, table);
  made.file().write_at(refcount_block_at, counts);
  made.keep();
}

}  // namespace kiln
