// QEMU Enhanced Disk: docs/interop/qed_spec.txt of QEMU 7.2. All numbers are little-endian.
#include "foreign.h"

#include <array>

namespace kiln::foreign {
namespace {

constexpr std::uint64_t with_backing_file = 1, needs_check = 2, backing_is_raw = 4;
constexpr std::uint64_t zero_cluster = 1;  // "Data cluster offsets": reads as zeros

struct Header {
  std::uint64_t cluster = 0, table_clusters = 0, header_clusters = 0, features = 0, l1 = 0, size = 0;
  std::uint64_t entries() const { return cluster * table_clusters / 8; }  // of a table
};

void refuse_backing_file(const File& file, std::span<const std::byte> b, std::uint64_t features) {
  const auto offset = get_le<std::uint32_t>(b, 56), length = get_le<std::uint32_t>(b, 60);
  if ((features & (with_backing_file | backing_is_raw)) == 0 && offset == 0 && length == 0) return;
  std::string name(std::min<std::uint32_t>(length, 1023), '\0');
  name.resize(file.read_some(offset, std::as_writable_bytes(std::span(name))));
  throw refused(file.path().string() + " is an overlay: it needs another file",
                "an imported disk must be complete in itself; ask the sender for a flattened image",
                {field("QED header", 56, 63, "backing file " + in_quotes(name))})
      .as(code::backing_file);
}

bool is_power_of_two(std::uint64_t n) {
  return n != 0 && (n & (n - 1)) == 0;
}

Header read_header(const File& file) {
  std::array<std::byte, 64> b{};
  file.read_at(0, b);
  Header h{get_le<std::uint32_t>(b, 4),  get_le<std::uint32_t>(b, 8),  get_le<std::uint32_t>(b, 12),
           get_le<std::uint64_t>(b, 16), get_le<std::uint64_t>(b, 40), get_le<std::uint64_t>(b, 48)};
  if (get_le<std::uint32_t>(b, 0) != 0x00444551)
    throw Error(file.path().string() + " is not a QED disk", "give the format that it has",
                {field("QED header", 0, 3, "no mark")})
        .as(code::format_mismatch);
  refuse_backing_file(file, b, h.features);
  if ((h.features & ~(with_backing_file | needs_check | backing_is_raw)) != 0)
    throw damaged(file, field("QED header", 16, 23, "unknown features " + hex(h.features)), code::unsupported);
  if (!is_power_of_two(h.cluster) || h.cluster < 4096 || h.cluster > (64u << 20))
    throw damaged(file, field("QED header", 4, 7, "cluster size " + std::to_string(h.cluster)));
  if (!is_power_of_two(h.table_clusters) || h.table_clusters > 16)
    throw damaged(file, field("QED header", 8, 11, "tables of " + std::to_string(h.table_clusters) + " clusters"));
  if (h.header_clusters == 0 || h.header_clusters > 1024)
    throw damaged(file, field("QED header", 12, 15, "a header of " + std::to_string(h.header_clusters) + " clusters"));
  check_size(file, h.size, field("QED header", 48, 55, "a disk of " + std::to_string(h.size) + " bytes"));
  if (h.size % 512 != 0 || (h.size - 1) / h.cluster >= h.entries() * h.entries())
    throw damaged(file, field("QED header", 48, 55, "a disk of " + std::to_string(h.size) + " bytes"),
                  code::invalid_size);
  return h;
}

/// One table of the second level, whose first cluster is the disk's number `first`.
void check_clusters(const File& file, const Header& h, std::uint64_t at, std::uint64_t first, Places& places) {
  const std::uint64_t clusters = (h.size + h.cluster - 1) / h.cluster;
  const std::uint64_t count = std::min(h.entries(), clusters - first);
  each_entry<std::uint64_t>(file, at, count, [&](std::uint64_t i, std::uint64_t data) {
    const std::uint64_t used = std::min(h.cluster, h.size - (first + i) * h.cluster);
    if (data != zero_cluster) places.claim(data, 1, used, "cluster " + std::to_string(first + i));
  });
}

/// Every table and cluster lies in the file, and no two in one place: QEMU reads what is past the end as zeros.
void check_tables(const File& file, const Header& h) {
  Places places(file, 0, h.cluster);
  places.claim(0, h.header_clusters, 64, "the header");
  places.claim(h.l1, h.table_clusters, h.cluster, "the L1 table");
  const std::uint64_t below = h.entries() * h.cluster;  // bytes of the disk for each entry
  const std::uint64_t count = (h.size + below - 1) / below;
  each_entry<std::uint64_t>(file, h.l1, count, [&](std::uint64_t i, std::uint64_t at) {
    places.claim(at, h.table_clusters, h.cluster, "L2 table " + std::to_string(i));
    check_clusters(file, h, at, i * h.entries(), places);
  });
}

struct Qed {
  static constexpr char name[] = "qed";
  static constexpr char summary[] = "The disk format of QEMU before qcow2's third version (read only).";
  static std::vector<std::string> extensions() { return {"qed"}; }
  static bool probe(const Glimpse& glimpse) { return begins_with(glimpse, std::string_view("QED\0", 4)); }
  static Inspection inspect(const File& file) {
    const Header h = read_header(file);
    check_tables(file, h);
    Inspection found{.format = name,
                     .variant = {},
                     .virtual_size = h.size,
                     .file_size = file.size(),
                     .details = {{"cluster_size", std::to_string(h.cluster)}}};
    if ((h.features & needs_check) != 0)
      found.findings.push_back({.code = std::string(code::damaged),
                                .severity = Severity::warning,
                                .what = "the disk was not closed, so what was written last may be missing",
                                .evidence = {field("QED header", 16, 23, "bit 1")},
                                .hint = "ask for one of a machine that was shut down"});
    return found;
  }
};

}  // namespace
}  // namespace kiln::foreign

KILN_FORMAT(kiln::foreign::Foreign<kiln::foreign::Qed>)
