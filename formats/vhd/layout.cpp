#include "layout.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <kiln/endian.h>

namespace kiln::vhd {
namespace {

constexpr std::string_view footer_mark = "conectix", header_mark = "cxsparse";
constexpr std::size_t footer_checksum = 64, header_checksum = 36;
constexpr std::uint64_t most_blocks = 16u << 20;  // 64 MiB of block table; 2040 GiB take 1 Mi blocks of 2 MiB

/// Where the VHD's own fields say what is missing.
Error cut_off(const File& file, std::string evidence) {
  return Error(file.path().string() + " is truncated", "get a complete copy of the file", {std::move(evidence)})
      .as(code::truncated);
}

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool checksum_fits(std::span<const std::byte> bytes, std::size_t field) {
  return checksum(bytes, field) == get_be<std::uint32_t>(bytes, field);
}

Footer decode(std::span<const std::byte> b) {
  Footer f;
  f.version = get_be<std::uint32_t>(b, 12);
  f.data_offset = get_be<std::uint64_t>(b, 16);
  f.timestamp = get_be<std::uint32_t>(b, 24);
  f.creator = text(b.subspan(28, 4));
  f.creator_version = get_be<std::uint32_t>(b, 32);
  f.host = text(b.subspan(36, 4));
  f.original_size = get_be<std::uint64_t>(b, 40);
  f.current_size = get_be<std::uint64_t>(b, 48);
  f.geometry = {get_be<std::uint16_t>(b, 56), get_be<std::uint8_t>(b, 58), get_be<std::uint8_t>(b, 59)};
  f.type = get_be<std::uint32_t>(b, 60);
  std::copy_n(b.begin() + 68, 16, f.uuid.begin());
  f.saved_state = b[84] != std::byte{0};
  return f;
}

struct Found {
  std::array<std::byte, footer_size> bytes{};
  std::uint64_t offset = 0;
  bool marked = false, intact = false;
};

Found look(const File& file, std::uint64_t offset) {
  Found found;
  found.offset = offset;
  file.read_some(offset, found.bytes);
  found.marked = has_mark(found.bytes);
  found.intact = found.marked && checksum_fits(found.bytes, footer_checksum);
  return found;
}

// Before Virtual PC 2004 the footer had 511 bytes; the missing one is reserved and zero.
Found look_at_end(const File& file, std::uint64_t size) {
  Found found;
  if (size >= footer_size) found = look(file, size - footer_size);
  if (!found.marked && size >= footer_size - 1) found = look(file, size - (footer_size - 1));
  return found;
}

// Which footer counts. The one at the end does; the one at the start is its copy in a dynamic disk, and guest data in
// a fixed one.
Layout choose_footer(const File& file) {
  Layout layout;
  layout.file_size = layout.data_end = file.size();
  const Found end = look_at_end(file, layout.file_size), start = look(file, 0);
  const bool copy = start.intact && decode(start.bytes).type != fixed;
  if (!end.intact && !copy) {
    if (end.marked || start.marked)
      throw damaged(file, "footer, bytes 64..67: the checksum does not fit, and there is no intact copy",
                    code::checksum);
    throw Error(file.path().string() + " is not a VHD, or its end is missing", "give the format that it has",
                {"neither the last 512 bytes nor the first begin with \"conectix\""})
        .as(code::format_mismatch);
  }
  layout.footer = decode(end.intact ? end.bytes : start.bytes);
  layout.footer_from_copy = !end.intact;
  if (end.marked) layout.data_end = end.offset;
  if (end.intact && copy && end.offset != 0 && std::memcmp(end.bytes.data() + 40, start.bytes.data() + 40, 24) != 0)
    throw damaged(file, "bytes 40..63: the footer and its copy at the start disagree about size or type");
  return layout;
}

void check_footer(const File& file, const Footer& f) {
  if (f.type == differencing)
    throw refused(file.path().string() + " is a differencing VHD: it holds only what differs from its parent",
                  "merge it into its parent first (Hyper-V: Merge-VHD), and give the merged disk",
                  {"VHD footer, bytes 60..63: disk type 4"})
        .as(code::parent_needed);
  if (f.type != fixed && f.type != dynamic)
    throw damaged(file, "footer, bytes 60..63: disk type " + std::to_string(f.type) + " is unknown", code::unsupported);
  if (f.version >> 16 != version_1 >> 16) throw damaged(file, "footer, bytes 12..15: unknown version of the format");
  // The limit is that of a table of blocks; fixed disks of clouds are larger.
  if (f.current_size == 0 || (f.type == dynamic && f.current_size > largest_disk))
    throw damaged(file, "footer, bytes 48..55: a size of " + std::to_string(f.current_size) + " bytes",
                  code::invalid_size);
}

// Tables and blocks may lie in any order, but not on each other.
void check_overlaps(const File& file, const Layout& layout, std::uint64_t table_at) {
  struct Range {
    std::uint64_t start, end;
  };
  std::vector<Range> ranges{{0, footer_size},
                            {layout.footer.data_offset, layout.footer.data_offset + header_size},
                            {table_at, table_at + layout.bat.size() * 4}};
  for (std::size_t i = 0; i < layout.bat.size(); ++i) {
    if (layout.bat[i] == unused_block) continue;
    const std::uint64_t start = layout.bat[i] * sector, guest = i * std::uint64_t{layout.block_size};
    const std::uint64_t used = std::min<std::uint64_t>(layout.block_size, layout.capacity - guest);
    const std::uint64_t end = start + layout.bitmap_size + used;
    if (end > layout.data_end)
      throw cut_off(file, "block " + std::to_string(i) + " lies in bytes " + std::to_string(start) + ".." +
                              std::to_string(end) + ", the data ends at " + std::to_string(layout.data_end));
    ranges.push_back({start, end});
  }
  std::ranges::sort(ranges, {}, &Range::start);
  for (std::size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].start < ranges[i - 1].end)
      throw damaged(file, "block table: two structures share the bytes at " + std::to_string(ranges[i].start),
                    code::overlap);
}

// "Dynamic Disk Header Format" and "Block Allocation Table".
void read_blocks(const File& file, Layout& layout) {
  const std::uint64_t at = layout.footer.data_offset;
  if (at < footer_size || at > layout.file_size || layout.file_size - at < header_size)
    throw cut_off(file, "the dynamic header should be at byte " + std::to_string(at));
  std::array<std::byte, header_size> header{};
  file.read_at(at, header);
  if (text(std::span(header).first(8)) != header_mark || !checksum_fits(header, header_checksum))
    throw damaged(file, "dynamic header, bytes 36..39: the mark or the checksum does not fit", code::checksum);
  const auto table_at = get_be<std::uint64_t>(header, 16);
  const auto entries = get_be<std::uint32_t>(header, 28);
  layout.block_size = get_be<std::uint32_t>(header, 32);
  const std::uint64_t block = layout.block_size;
  if (block < 4096 || block > (256u << 20) || (block & (block - 1)) != 0)
    throw damaged(file, "dynamic header, bytes 32..35: a block size of " + std::to_string(block));
  layout.bitmap_size = (block / sector / 8 + sector - 1) / sector * sector;
  const std::uint64_t size = layout.footer.current_size, by_geometry = layout.footer.geometry.bytes();
  const bool rounded_up = size_rule(layout.footer) == SizeRule::geometry && by_geometry > size;
  layout.capacity = rounded_up && by_geometry <= entries * block ? by_geometry : size;
  const std::uint64_t blocks = (layout.capacity + block - 1) / block;
  if (entries < blocks || blocks > most_blocks)
    throw damaged(file, "dynamic header, bytes 28..31: " + std::to_string(entries) + " blocks of " +
                            std::to_string(block) + " bytes for a disk of " + std::to_string(size));
  if (table_at > layout.file_size || layout.file_size - table_at < std::uint64_t{entries} * 4)
    throw cut_off(file, "the block table should be at byte " + std::to_string(table_at));
  std::vector<std::byte> table(blocks * 4);
  file.read_at(table_at, table);
  layout.bat.resize(blocks);
  for (std::size_t i = 0; i < blocks; ++i) layout.bat[i] = get_be<std::uint32_t>(table, i * 4);
  check_overlaps(file, layout, table_at);
}

}  // namespace

Geometry geometry_of(std::uint64_t size) {
  const std::uint64_t sectors = std::min<std::uint64_t>(size / sector, 65535ull * 16 * 255);
  std::uint64_t per_track = 255, heads = 16, tracks = sectors / 255;
  if (sectors < 65535ull * 16 * 63) {
    per_track = 17;
    tracks = sectors / 17;
    heads = std::max<std::uint64_t>((tracks + 1023) / 1024, 4);
    if (tracks >= heads * 1024 || heads > 16) {
      per_track = 31;
      heads = 16;
      tracks = sectors / 31;
    }
    if (tracks >= heads * 1024) {
      per_track = 63;
      heads = 16;
      tracks = sectors / 63;
    }
  }
  return {static_cast<std::uint16_t>(tracks / heads), static_cast<std::uint8_t>(heads),
          static_cast<std::uint8_t>(per_track)};
}

std::uint32_t checksum(std::span<const std::byte> bytes, std::size_t field) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (i < field || i >= field + 4) sum += std::to_integer<std::uint32_t>(bytes[i]);
  return ~sum;
}

bool has_mark(std::span<const std::byte> bytes) {
  return bytes.size() >= footer_mark.size() && std::memcmp(bytes.data(), footer_mark.data(), footer_mark.size()) == 0;
}

std::array<std::byte, footer_size> Footer::encode() const {
  std::array<std::byte, footer_size> b{};
  const auto put = [&](std::size_t at, std::string_view s) { std::memcpy(b.data() + at, s.data(), s.size()); };
  put(0, footer_mark);
  put_be<std::uint32_t>(b, 8, 2);  // "Features": the reserved bit is always set
  put_be<std::uint32_t>(b, 12, version);
  put_be<std::uint64_t>(b, 16, data_offset);
  put_be<std::uint32_t>(b, 24, timestamp);
  put(28, creator);
  put_be<std::uint32_t>(b, 32, creator_version);
  put(36, host);
  put_be<std::uint64_t>(b, 40, original_size);
  put_be<std::uint64_t>(b, 48, current_size);
  put_be<std::uint16_t>(b, 56, geometry.cylinders);
  put_be<std::uint8_t>(b, 58, geometry.heads);
  put_be<std::uint8_t>(b, 59, geometry.sectors);
  put_be<std::uint32_t>(b, 60, type);
  std::ranges::copy(uuid, b.begin() + 68);
  put_be<std::uint32_t>(b, footer_checksum, checksum(b, footer_checksum));
  return b;
}

// Virtual PC, Virtual Server and QEMU give their guests what the geometry says. Hyper-V, XenServer, disk2vhd and Azure
// give the current size, and so does whoever is not known here (VirtualBox): it never cuts anything off.
SizeRule size_rule(const Footer& f) {
  const bool by_geometry = f.creator == "vpc " || f.creator == "vs  " || f.creator == "qemu";
  return by_geometry && !f.geometry.saturated() && f.geometry.bytes() != 0 ? SizeRule::geometry
                                                                           : SizeRule::current_size;
}

Layout read_layout(const File& file) {
  Layout layout = choose_footer(file);
  check_footer(file, layout.footer);
  if (!layout.is_fixed()) {
    read_blocks(file, layout);
    return layout;
  }
  if (layout.footer.current_size > layout.data_end)
    throw cut_off(file, "the disk has " + std::to_string(layout.footer.current_size) + " bytes, the file holds " +
                            std::to_string(layout.data_end));
  layout.capacity = layout.data_end;
  return layout;
}

}  // namespace kiln::vhd
