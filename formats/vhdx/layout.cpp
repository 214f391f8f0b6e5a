#include "layout.h"

#include <algorithm>
#include <cstring>

#include <kiln/endian.h>

#include "checksum.h"

namespace kiln::vhdx {
namespace {

constexpr std::size_t entries_at = 16, entry_size = 32;

struct Table {
  std::uint64_t at = 0;
  std::vector<std::byte> bytes;
  bool intact = false;
};

Table look(const Container& container, std::uint64_t at) {
  Table table{.at = at, .bytes = std::vector<std::byte>(region_table_size)};
  if (at + region_table_size > container.size()) return table;
  container.read_at(at, table.bytes);
  table.intact = std::memcmp(table.bytes.data(), "regi", 4) == 0 && checksum_fits(table.bytes);
  return table;
}

/// The table that counts: the first one that is whole. Both are, unless the file is damaged.
Table choose(const Container& container, Layout& layout) {
  Table first = look(container, region_table_at[0]), second = look(container, region_table_at[1]);
  layout.first_table_damaged = !first.intact;
  layout.second_table_damaged = !second.intact;
  if (!first.intact && !second.intact)
    throw damaged(container.file(),
                  "VHDX region tables, bytes 196608..262143 and 262144..327679: mark or checksum does not fit in both",
                  code::checksum);
  const auto used = [](const Table& t) {
    const std::uint64_t count = std::min(get_le<std::uint32_t>(t.bytes, 8), most_table_entries);
    return std::span(t.bytes).subspan(8, entries_at - 8 + count * entry_size);
  };
  if (first.intact && second.intact && !std::ranges::equal(used(first), used(second)))
    throw damaged(container.file(), "VHDX region tables, bytes 196608..262143 and 262144..327679: they disagree");
  return first.intact ? first : second;
}

/// Adds a structure to those that nothing else may lie on.
void add(const Container& container, Layout& layout, Region region) {
  if (region.end > container.size()) throw truncated(container.file(), region.name, region.end);
  for (const Region& other : layout.structures)
    if (region.start < other.end && other.start < region.end)
      throw damaged(container.file(),
                    region.name + ", bytes " + std::to_string(region.start) + ".." + std::to_string(region.end - 1) +
                        ": it lies on the " + other.name,
                    code::overlap);
  layout.structures.push_back(std::move(region));
}

void read_region(const Container& container, const Table& table, std::size_t at, Layout& layout) {
  const auto bytes = std::span(table.bytes).subspan(at, entry_size);
  const std::string where = "VHDX region table, byte " + std::to_string(table.at + at);
  const auto start = get_le<std::uint64_t>(bytes, 16);
  const std::uint64_t length = get_le<std::uint32_t>(bytes, 24);
  const auto required = get_le<std::uint32_t>(bytes, 28);
  const auto is = [&](const Guid& id) { return std::ranges::equal(bytes.first(16), id); };
  if (required > 1) throw damaged(container.file(), where + ": reserved bits " + hex(required));
  if (start % alignment != 0 || start < header_section || start > largest_file || length % alignment != 0 ||
      length == 0)
    throw damaged(container.file(),
                  where + ": a region of " + std::to_string(length) + " bytes at byte " + std::to_string(start));
  Region* known = is(bat_region) ? &layout.bat : is(metadata_region) ? &layout.metadata : nullptr;
  if (known == nullptr && required != 0)
    throw Error(container.file().path().string() + " needs a feature of VHDX that kiln does not know",
                "convert it with the program that made it to a plain VHDX", {where + ": an unknown required region"})
        .as(code::unsupported);
  Region region{"VHDX region of an unknown kind", start, start + length};
  if (known != nullptr) {
    region.name = known == &layout.bat ? "VHDX block allocation table" : "VHDX metadata region";
    if (known->end != 0) throw damaged(container.file(), where + ": the " + region.name + " is there twice");
    *known = region;
  }
  add(container, layout, std::move(region));
}

}  // namespace

Layout read_layout(const Container& container) {
  Layout layout;
  const Table table = choose(container, layout);
  const Header& header = container.header();
  layout.structures.push_back({"VHDX header section", 0, header_section});
  if (header.log_length != 0) add(container, layout, {"VHDX log", header.log_at, header.log_at + header.log_length});
  const auto count = get_le<std::uint32_t>(table.bytes, 8);
  if (count > most_table_entries)
    throw damaged(container.file(), "VHDX region table, byte " + std::to_string(table.at + 8) + ": " +
                                        std::to_string(count) + " entries");
  for (std::size_t i = 0; i < count; ++i) read_region(container, table, entries_at + i * entry_size, layout);
  for (const Region* needed : {&layout.bat, &layout.metadata})
    if (needed->end == 0)
      throw damaged(container.file(), std::string("VHDX region table: it names no ") +
                                          (needed == &layout.bat ? "block allocation table" : "metadata region"));
  read_metadata(container, layout);
  if (const std::uint64_t needed = (layout.entry_of(layout.blocks() - 1) + 1) * 8,
      there = layout.bat.end - layout.bat.start;
      needed > there)
    throw damaged(container.file(), "VHDX block allocation table: its region has " + std::to_string(there) +
                                        " bytes, the disk needs " + std::to_string(needed));
  return layout;
}

}  // namespace kiln::vhdx
