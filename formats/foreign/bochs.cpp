// Bochs growing disk: iodev/hdimage/hdimage.h of Bochs 2.6 (redolog_header_t). All numbers are little-endian.
#include "foreign.h"

#include <array>

namespace kiln::foreign {
namespace {

constexpr std::string_view mark = "Bochs Virtual HD Image", type_mark = "Redolog", growing = "Growing";
constexpr std::uint64_t sector = 512;
constexpr std::uint32_t version_1 = 0x10000, version_2 = 0x20000, unused = 0xffffffff;

/// A text that fills `b` or ends with a NUL.
std::string_view text_in(std::span<const std::byte> b) {
  const std::string_view all(reinterpret_cast<const char*>(b.data()), b.size());
  return all.substr(0, all.find('\0'));
}

struct Header {
  std::uint64_t catalog_at = 0, entries = 0, bitmap = 0, extent = 0, size = 0;
  std::uint64_t data() const { return catalog_at + entries * 4; }
  std::uint64_t bitmap_bytes() const { return (bitmap + sector - 1) / sector * sector; }
};

std::string in_header(std::size_t first, std::size_t last, const std::string& says) {
  return field("Bochs header", first, last, says);
}

void check_kind(const File& file, std::span<const std::byte> b) {
  if (text_in(b.first(32)) != mark || text_in(b.subspan(32, 16)) != type_mark)
    throw Error(file.path().string() + " is not a growing Bochs disk", "give the format that it has",
                {in_header(0, 47, "no mark")})
        .as(code::format_mismatch);
  const std::string_view kind = text_in(b.subspan(48, 16));
  if (kind != growing)
    throw refused(file.path().string() + " holds only what differs from another disk",
                  "commit it to the disk that it was made on (bximage), and give that",
                  {in_header(48, 63, in_quotes(kind))})
        .as(code::parent_needed);
}

Header read_header(const File& file) {
  std::array<std::byte, 512> b{};
  file.read_at(0, b);
  check_kind(file, b);
  const auto version = get_le<std::uint32_t>(b, 64);
  if (version != version_1 && version != version_2)
    throw damaged(file, in_header(64, 67, "version " + hex(version)), code::unsupported);
  const std::size_t size_at = version == version_1 ? 84 : 88;
  const Header h{get_le<std::uint32_t>(b, 68), get_le<std::uint32_t>(b, 72), get_le<std::uint32_t>(b, 76),
                 get_le<std::uint32_t>(b, 80), get_le<std::uint64_t>(b, size_at)};
  const std::string disk = in_header(size_at, size_at + 7, "a disk of " + std::to_string(h.size) + " bytes");
  check_size(file, h.size, disk);
  if (h.size % sector != 0) throw damaged(file, disk, code::invalid_size);
  if (h.catalog_at < b.size() || h.catalog_at > (1u << 20))
    throw damaged(file, in_header(68, 71, "a header of " + std::to_string(h.catalog_at) + " bytes"));
  if (h.extent == 0 || h.extent % sector != 0 || h.extent > (8u << 20))
    throw damaged(file, in_header(80, 83, "an extent of " + std::to_string(h.extent) + " bytes"));
  if (h.bitmap > (1u << 20) || h.bitmap * 8 * sector < h.extent)
    throw damaged(file, in_header(76, 79, "a bitmap of " + std::to_string(h.bitmap) + " bytes"));
  if (h.entries > (1u << 20) || h.entries * h.extent < h.size)
    throw damaged(file, in_header(72, 75, std::to_string(h.entries) + " extents"));
  return h;
}

void check_catalog(const File& file, const Header& h) {
  if (h.data() > file.size()) throw truncated(file, "the catalog", h.data());
  std::vector<std::byte> catalog(h.entries * 4);
  file.read_at(h.catalog_at, catalog);
  const std::uint64_t slot = h.bitmap_bytes() + h.extent;
  Places places(file, h.data(), slot);
  for (std::uint64_t i = 0; i < h.entries; ++i) {
    const auto entry = get_le<std::uint32_t>(catalog, i * 4);
    if (entry != unused) places.claim(h.data() + entry * slot, 1, slot, "extent " + std::to_string(i));
  }
}

struct Bochs {
  static constexpr char name[] = "bochs";
  static constexpr char summary[] = "The growing disk of the Bochs emulator (read only).";
  static std::vector<std::string> extensions() { return {"bochs"}; }
  static bool probe(const Glimpse& glimpse) {
    return glimpse.head.size() >= 48 && begins_with(glimpse, mark) &&
           text_in(glimpse.head.subspan(32, 16)) == type_mark;
  }
  static Inspection inspect(const File& file) {
    const Header h = read_header(file);
    check_catalog(file, h);
    return {.format = name,
            .variant = "growing",
            .virtual_size = h.size,
            .file_size = file.size(),
            .details = {{"extent_size", std::to_string(h.extent)}}};
  }
};

}  // namespace
}  // namespace kiln::foreign

KILN_FORMAT(kiln::foreign::Foreign<kiln::foreign::Bochs>)
