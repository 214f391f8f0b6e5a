#include "layout.h"

#include <algorithm>
#include <bit>

#include <kiln/endian.h>
#include <kiln/value.h>

namespace kiln::vdi {
namespace {

constexpr std::uint32_t smallest_header = 384;  // VDIHEADER1, without the second geometry
constexpr std::uint32_t zero_expand = 1;        // VDI_IMAGE_FLAGS_ZERO_EXPAND: how blocks were made; no matter here
constexpr std::uint64_t smallest_block = 4096, largest_block = 256u << 20;

using Header = std::array<std::byte, header_end>;

Error bad_field(const File& file, std::size_t at, std::size_t length, const std::string& fact,
                std::string_view name = code::damaged) {
  return damaged(file, "VDI header, bytes " + std::to_string(at) + ".." + std::to_string(at + length - 1) + ": " + fact,
                 name);
}

std::uint32_t u32(const Header& h, Field field) {
  return get_le<std::uint32_t>(h, field);
}

Error not_understood(const File& file, const std::string& what, std::size_t at, const std::string& fact) {
  return Error(file.path().string() + " is a VDI that kiln does not read: " + what,
               "copy it with a VirtualBox of today: VBoxManage clonemedium disk IN.vdi OUT.vdi",
               {"VDI header, bytes " + std::to_string(at) + ".." + std::to_string(at + 3) + ": " + fact})
      .as(code::unsupported);
}

void check_version(const File& file, const Header& h) {
  if (u32(h, signature_at) != signature)
    throw Error(file.path().string() + " is not a VDI", "give the format that it has",
                {"VDI header, bytes 64..67: " + hex(u32(h, signature_at)) + " instead of " + hex(signature)})
        .as(code::format_mismatch);
  const std::uint32_t version = u32(h, version_at);
  if (version != version_1_1)
    throw not_understood(file, "its version is not 1.1", version_at,
                         "version " + std::to_string(version >> 16) + "." + std::to_string(version & 0xffff));
  const std::uint32_t size = u32(h, header_size_at);
  if (size < smallest_header)
    throw bad_field(file, header_size_at, 4, "a header of " + std::to_string(size) + " bytes");
  if ((u32(h, flags_at) & ~zero_expand) != 0)
    throw not_understood(file, "it has an unknown flag", flags_at, "image flags " + hex(u32(h, flags_at)));
  for (const Field field : {old_sector_size_at, sector_size_at}) {
    if (field == sector_size_at && size < header_size) continue;
    if (const std::uint32_t bytes = u32(h, field); bytes != 0 && bytes != sector)
      throw not_understood(file, "its sectors do not have 512 bytes", field, std::to_string(bytes) + " bytes");
  }
}

void check_complete(const File& file, const Header& h) {
  const auto needs_parent = [&](const std::string& evidence) {
    return refused(file.path().string() + " is a differencing VDI: it holds only what differs from its parent",
                   "make one disk of it and its parent first (VBoxManage clonemedium), and give that", {evidence})
        .as(code::parent_needed);
  };
  const std::uint32_t type = u32(h, type_at);
  if (type == undo || type == differencing)
    throw needs_parent("VDI header, bytes 76..79: image type " + std::to_string(type));
  if (type != dynamic && type != fixed)
    throw bad_field(file, type_at, 4, "image type " + std::to_string(type) + " is unknown", code::unsupported);
  for (const Field field : {link_uuid_at, parent_uuid_at}) {
    const auto uuid = std::span(h).subspan(field, 16);
    if (std::ranges::any_of(uuid, [](std::byte b) { return b != std::byte{0}; }))
      throw needs_parent("VDI header, bytes " + std::to_string(field) + ".." + std::to_string(field + 15) +
                         ": the UUID of a parent");
  }
}

// The sizes of disk and blocks, and how many blocks that makes.
std::uint64_t read_sizes(const File& file, const Header& h, Layout& layout) {
  layout.disk_size = get_le<std::uint64_t>(h, disk_size_at);
  layout.block_size = u32(h, block_size_at);
  layout.block_extra = u32(h, block_extra_at);
  const auto bytes = [](std::uint64_t n) { return std::to_string(n) + " bytes"; };
  if (layout.disk_size == 0 || layout.disk_size > INT64_MAX)
    throw bad_field(file, disk_size_at, 8, "a disk of " + bytes(layout.disk_size), code::invalid_size);
  if (!std::has_single_bit(layout.block_size) || layout.block_size < smallest_block ||
      layout.block_size > largest_block)
    throw bad_field(file, block_size_at, 4, "a block size of " + bytes(layout.block_size));
  if (layout.block_extra != 0 && (!std::has_single_bit(layout.block_extra) || layout.block_extra > layout.block_size))
    throw bad_field(file, block_extra_at, 4, "every block begins with " + bytes(layout.block_extra) + " of its own");
  const std::uint64_t blocks = (layout.disk_size - 1) / layout.block_size + 1;
  if (blocks > most_blocks)
    throw bad_field(file, disk_size_at, 8,
                    "a disk of " + bytes(layout.disk_size) + ", the limit is " +
                        format_bytes(most_blocks * layout.block_size) + " with blocks of " + bytes(layout.block_size),
                    code::disk_too_large);
  if (u32(h, blocks_at) < blocks)
    throw bad_field(file, blocks_at, 4,
                    std::to_string(u32(h, blocks_at)) + " blocks of " + bytes(layout.block_size) + " for a disk of " +
                        bytes(layout.disk_size));
  return blocks;
}

void read_map(const File& file, const Header& h, std::uint64_t blocks, Layout& layout) {
  const std::uint64_t map_at = u32(h, map_offset_at), map_end = map_at + u32(h, blocks_at) * std::uint64_t{4};
  layout.data_offset = u32(h, data_offset_at);
  if (map_at < header_size_at + smallest_header)
    throw bad_field(file, map_offset_at, 4, "the block map at byte " + std::to_string(map_at) + ", on the header",
                    code::overlap);
  if (layout.data_offset < map_end)
    throw bad_field(file, data_offset_at, 4,
                    "the data starts at byte " + std::to_string(layout.data_offset) + ", the block map ends at " +
                        std::to_string(map_end),
                    code::overlap);
  if (map_end > layout.file_size) throw truncated(file, "the VDI block map", map_end);
  layout.map.resize(blocks);
  const auto bytes = std::as_writable_bytes(std::span(layout.map));
  file.read_at(map_at, bytes);
  for (std::size_t i = 0; i < blocks; ++i) layout.map[i] = get_le<std::uint32_t>(bytes, i * 4);
}

// Blocks may lie in any order, but each in one place, whole, and used once.
void check_blocks(const File& file, Layout& layout) {
  std::vector<std::uint32_t> used;
  for (std::size_t i = 0; i < layout.map.size(); ++i) {
    if (!is_allocated(layout.map[i])) continue;
    const std::uint64_t end = layout.data_offset + (layout.map[i] + std::uint64_t{1}) * layout.stride();
    if (end > layout.file_size)
      throw truncated(file, "VDI block map, entry " + std::to_string(i) + ": block " + std::to_string(layout.map[i]),
                      end);
    used.push_back(layout.map[i]);
  }
  layout.allocated = static_cast<std::uint32_t>(used.size());
  std::ranges::sort(used);
  const auto twice = std::ranges::adjacent_find(used);
  if (twice == used.end()) return;
  const auto first = std::ranges::find(layout.map, *twice);
  const auto second = std::find(first + 1, layout.map.end(), *twice);
  throw damaged(file,
                "VDI block map, entries " + std::to_string(first - layout.map.begin()) + " and " +
                    std::to_string(second - layout.map.begin()) + ": both are block " + std::to_string(*twice),
                code::overlap);
}

std::string creator_of(const Header& h) {
  std::string text(reinterpret_cast<const char*>(h.data()), signature_at);
  text.resize(std::min(text.find('\0'), text.size()));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

bool has_mark(std::span<const std::byte> head) {
  return head.size() >= signature_at + 4 && get_le<std::uint32_t>(head, signature_at) == signature;
}

Layout read_layout(const File& file) {
  Header header{};
  Layout layout;
  layout.file_size = file.size();
  const std::size_t got = file.read_some(0, header);
  check_version(file, header);
  if (got < header_end) throw truncated(file, "the VDI header", header_end);
  check_complete(file, header);
  layout.creator = creator_of(header);
  layout.type = u32(header, type_at);
  std::ranges::copy(std::span(header).subspan(uuid_at, 16), layout.uuid.begin());
  layout.allocated_says = u32(header, allocated_at);
  read_map(file, header, read_sizes(file, header, layout), layout);
  check_blocks(file, layout);
  return layout;
}

}  // namespace kiln::vdi
