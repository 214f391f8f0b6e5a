// Parallels expandable image: docs/interop/parallels.txt of QEMU 7.2. All numbers are little-endian.
#include "foreign.h"

#include <array>

namespace kiln::foreign {
namespace {

constexpr std::string_view old_mark = "WithoutFreeSpace", new_mark = "WithouFreSpacExt";
constexpr std::uint64_t header_size = 64, sector = 512;
constexpr std::uint32_t is_in_use = 0x746f6e59, is_closed = 0x312e3276;

struct Header {
  bool extended = false;  // clusters are counted in clusters, not in sectors
  std::uint64_t cluster = 0, entries = 0, sectors = 0, data = 0, extension = 0;
  std::uint32_t in_use = 0;
};

std::string in_header(std::size_t first, std::size_t last, const std::string& says) {
  return field("Parallels header", first, last, says);
}

Header read_header(const File& file) {
  std::array<std::byte, header_size> b{};
  file.read_at(0, b);
  const std::string_view mark(reinterpret_cast<const char*>(b.data()), 16);
  if (mark != old_mark && mark != new_mark)
    throw Error(file.path().string() + " is not a Parallels disk", "give the format that it has",
                {in_header(0, 15, "no mark")})
        .as(code::format_mismatch);
  Header h{.extended = mark == new_mark,
           .cluster = get_le<std::uint32_t>(b, 28) * sector,
           .entries = get_le<std::uint32_t>(b, 32),
           .sectors = get_le<std::uint64_t>(b, 36),
           .data = get_le<std::uint32_t>(b, 48) * sector,
           .extension = get_le<std::uint64_t>(b, 56),
           .in_use = get_le<std::uint32_t>(b, 44)};
  if (const auto version = get_le<std::uint32_t>(b, 16); version != 2)
    throw damaged(file, in_header(16, 19, "version " + std::to_string(version)), code::unsupported);
  if (h.cluster == 0 || h.cluster > (64u << 20))
    throw damaged(file, in_header(28, 31, "a cluster of " + std::to_string(h.cluster) + " bytes"));
  const std::string disk = in_header(36, 43, "a disk of " + std::to_string(h.sectors) + " sectors");
  if (h.sectors > largest_disk / sector || (!h.extended && h.sectors >> 32 != 0))
    throw damaged(file, disk, code::invalid_size);
  check_size(file, h.sectors * sector, disk);
  if (h.entries * h.cluster < h.sectors * sector)  // both at most 2^32 * 2^26
    throw damaged(file, in_header(32, 35, std::to_string(h.entries) + " clusters, too few for the disk"));
  if (h.in_use != 0 && h.in_use != is_in_use && h.in_use != is_closed)
    throw damaged(file, in_header(44, 47, "in use " + hex(h.in_use)));
  return h;
}

void check_data_offset(const File& file, Header& h) {
  const std::uint64_t table_end = header_size + h.entries * 4;
  if (table_end > file.size()) throw truncated(file, "the block table", table_end);
  if (h.data == 0 && !h.extended) h.data = (table_end + sector - 1) / sector * sector;
  if (h.data < table_end || (h.extended && h.data % h.cluster != 0))
    throw damaged(file, in_header(48, 51, "data from byte " + std::to_string(h.data) + " on"));
}

/// QEMU reads what is past the end as zeros, and does not mind two clusters in one place.
void check_table(const File& file, const Header& h) {
  Places places(file, h.extended ? 0 : h.data, h.cluster);
  if (h.extended) places.claim(0, h.data / h.cluster, 1, "the header");
  const std::uint64_t clusters = (h.sectors * sector + h.cluster - 1) / h.cluster;
  each_entry<std::uint32_t>(file, header_size, clusters, [&](std::uint64_t i, std::uint64_t entry) {
    const std::uint64_t used = std::min(h.cluster, h.sectors * sector - i * h.cluster);
    places.claim(entry * (h.extended ? h.cluster : sector), 1, used, "cluster " + std::to_string(i));
  });
  if (h.extension != 0) places.claim(h.extension * sector, 1, h.cluster, "the extension");
}

struct Parallels {
  static constexpr char name[] = "parallels";
  static constexpr char summary[] = "The expanding disk of Parallels and Virtuozzo (read only).";
  static std::vector<std::string> extensions() { return {"hds", "hdd"}; }
  static bool probe(const Glimpse& glimpse) { return begins_with(glimpse, old_mark) || begins_with(glimpse, new_mark); }
  static Inspection inspect(const File& file) {
    Header h = read_header(file);
    check_data_offset(file, h);
    check_table(file, h);
    Inspection found{.format = name,
                     .variant = h.extended ? "extended" : "",
                     .virtual_size = h.sectors * sector,
                     .file_size = file.size(),
                     .details = {{"cluster_size", std::to_string(h.cluster)}}};
    if (h.in_use == is_in_use)
      found.findings.push_back({.code = std::string(code::damaged),
                                .severity = Severity::warning,
                                .what = "the disk was not closed, so what was written last may be missing",
                                .evidence = {in_header(44, 47, "in use")},
                                .hint = "ask for one of a machine that was shut down"});
    return found;
  }
};

}  // namespace
}  // namespace kiln::foreign

KILN_FORMAT(kiln::foreign::Foreign<kiln::foreign::Parallels>)
