#include <kiln/layout.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include <kiln/endian.h>

namespace kiln {
namespace {

using Piece = std::vector<std::byte>;

/// Piece of the disk, zeros past its end.
Piece read(const BlockReader& disk, std::uint64_t offset, std::size_t length) {
  Piece out(length);
  if (offset < disk.size())
    disk.read(offset, std::span(out).first(std::min<std::uint64_t>(length, disk.size() - offset)));
  return out;
}

bool has(const Piece& bytes, std::size_t at, std::string_view text) {
  return at + text.size() <= bytes.size() && std::memcmp(bytes.data() + at, text.data(), text.size()) == 0;
}

/// Partition types as they lie on the disk, the first three fields little-endian (UEFI 2.10, 5.3.3).
constexpr std::string_view efi_system("\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b", 16);
constexpr std::string_view bios_boot("\x48\x61\x68\x21\x49\x64\x6f\x6e\x74\x4e\x65\x65\x64\x45\x46\x49", 16);

std::string joined(bool bios, bool uefi) {
  if (bios && uefi) return "bios,uefi";
  return bios ? "bios" : uefi ? "uefi" : "";
}

/// The first 440 bytes of a disk that starts under BIOS are code.
bool has_boot_code(const Piece& sector) {
  return std::any_of(sector.begin(), sector.begin() + 440, [](std::byte b) { return b != std::byte{0}; });
}

DiskLayout gpt(const BlockReader& disk, const Piece& first, std::uint64_t sector) {
  const Piece header = read(disk, sector, 512);
  const auto entries_at = get_le<std::uint64_t>(header, 72);
  const auto count = std::min<std::uint32_t>(get_le<std::uint32_t>(header, 80), 128);
  const auto size = get_le<std::uint32_t>(header, 84);
  bool uefi = false, bios = has_boot_code(first);
  if (size >= 128 && size <= 1024 && entries_at < disk.size() / sector) {
    const Piece table = read(disk, entries_at * sector, std::size_t{count} * size);
    for (std::size_t i = 0; i < count; ++i) {
      uefi = uefi || has(table, i * size, efi_system);
      bios = bios || has(table, i * size, bios_boot);
    }
  }
  return {"gpt", joined(bios, uefi)};
}

/// A DOS partition table has four entries of 16 bytes from byte 446; a boot sector of a file system has code there.
bool is_partition_table(const Piece& first) {
  bool any = false;
  for (std::size_t at = 446; at < 510; at += 16) {
    const auto status = std::to_integer<unsigned>(first[at]);
    const auto type = std::to_integer<unsigned>(first[at + 4]);
    const auto sectors = get_le<std::uint32_t>(first, at + 12);
    if (status != 0 && status != 0x80) return false;
    any = any || (type != 0 && sectors != 0);
  }
  return any;
}

DiskLayout mbr(const Piece& first) {
  bool uefi = false;
  for (std::size_t at = 446; at < 510; at += 16) uefi = uefi || first[at + 4] == std::byte{0xEF};
  return {"mbr", joined(has_boot_code(first), uefi)};
}

struct Mark {
  std::size_t at;
  std::string_view text;
  const char* name;
};
constexpr std::array marks{
    Mark{3, "EXFAT   ", "exfat"},    Mark{0, "hsqs", "squashfs"},   Mark{1024, "\x10\x20\xf5\xf2", "f2fs"},
    Mark{0, "LABELONE", "lvm"},      Mark{1024, "LABELONE", "lvm"}, Mark{1536, "LABELONE", "lvm"},
    Mark{1080, "\x53\xEF", "ext4"},  Mark{0, "XFSB", "xfs"},        Mark{0x10040, "_BHRfS_M", "btrfs"},
    Mark{3, "NTFS    ", "ntfs"},     Mark{54, "FAT", "fat"},        Mark{82, "FAT32", "fat"},
    Mark{32769, "CD001", "iso9660"}, Mark{512, "LABELONE", "lvm"},  Mark{0, "LUKS\xba\xbe", "luks"},
    Mark{4086, "SWAPSPACE2", "swap"}};

}  // namespace

DiskLayout look_at(const BlockReader& disk) {
  const Piece start = read(disk, 0, 68 * 1024);
  for (const std::uint64_t sector : {512U, 4096U})
    if (has(start, sector, "EFI PART")) return gpt(disk, start, sector);
  const auto mark = std::ranges::find_if(marks, [&](const Mark& m) { return has(start, m.at, m.text); });
  if (mark != marks.end() && !(has(start, 510, "\x55\xAA") && is_partition_table(start))) return {mark->name, ""};
  if (has(start, 510, "\x55\xAA") && is_partition_table(start)) return mbr(start);
  return {"none", ""};
}

void refuse_nested(const Formats& formats, const BlockReader& disk, const std::string& name) {
  const Piece start = read(disk, 0, std::min<std::uint64_t>(disk.size(), 64 * 1024));
  for (const std::string& format : formats.names())
    if (formats.get(format).probe({start, {}, disk.size()}) == Match::yes)
      throw refused("the disk in " + name + " begins as a container itself",
                    "if it is a container within a container, unpack the outer one first",
                    {"byte 0 of the disk: " + format})
          .as(code::nested_format);
}

void require_disk(const BlockReader& disk, const std::string& name) {
  const std::string kind = look_at(disk).kind;
  if (kind == "luks")
    throw refused(name + " is encrypted", "decrypt it first (cryptsetup)", {"byte 0: a LUKS header"})
        .as(code::encrypted);
  if (kind == "none")
    throw invalid(name + " is no disk that kiln recognises",
                  "if it is the bytes of a disk as they are, say so: format = \"raw\", or --format raw",
                  {"no format's mark, no partition table and no file system was found in it"})
        .as(code::unknown_format);
}

}  // namespace kiln
