// Apple disk image: the trailer "koly" as libdmg-hfsplus (dmg/dmg.h, UDIFResourceFile) and QEMU 7.2 (block/dmg.c) read
// it. All numbers are big-endian.
#include "foreign.h"

#include <array>

namespace kiln::foreign {
namespace {

constexpr std::uint64_t trailer_size = 512, most_xml = 16u << 20;
constexpr std::string_view mark = "koly";

std::string in_trailer(std::size_t first, std::size_t last, const std::string& says) {
  return field("DMG trailer", first, last, says);
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// QEMU takes the first mark that it meets in the file's last 1023 bytes, the file's size rounded up to a sector.
void check_that_it_is_the_only_one(const File& file, std::uint64_t at) {
  const std::uint64_t rounded = (file.size() + 511) / 512 * 512;
  const std::uint64_t from = rounded > 1023 ? rounded - 1023 : 0;
  std::vector<std::byte> before(at + mark.size() - std::min(from, at));
  file.read_at(std::min(from, at), before);
  if (text_of(before).find(mark) != before.size() - mark.size())
    throw damaged(file, "there is a second trailer in the file's last 1023 bytes", code::overlap);
}

struct Dmg {
  static constexpr char name[] = "dmg";
  static constexpr char summary[] =
      "The disk image of macOS: stored, zlib, and with qemu-block-extra bzip2 (read only).";
  static std::vector<std::string> extensions() { return {"dmg"}; }
  static bool probe(const Glimpse& glimpse) {
    return glimpse.tail.size() >= trailer_size &&
           text_of(glimpse.tail).substr(glimpse.tail.size() - trailer_size, mark.size()) == mark;
  }

  static Inspection inspect(const File& file) {
    const std::uint64_t size = file.size();
    if (size < trailer_size) throw truncated(file, "the trailer", trailer_size);
    const std::uint64_t at = size - trailer_size;
    std::array<std::byte, trailer_size> b{};
    file.read_at(at, b);
    if (text_of(b).substr(0, 4) != mark)
      throw Error(file.path().string() + " is not a DMG disk, or its end is missing", "give the format that it has",
                  {in_trailer(0, 3, "no mark")})
          .as(code::format_mismatch);
    check_that_it_is_the_only_one(file, at);
    if (get_be<std::uint32_t>(b, 4) != 4 || get_be<std::uint32_t>(b, 8) != trailer_size)
      throw damaged(file, in_trailer(4, 11, "unknown version"), code::unsupported);
    if (const auto segments = get_be<std::uint32_t>(b, 60); segments > 1)
      throw refused(file.path().string() + " is one of " + std::to_string(segments) + " files that make a disk",
                    "join them where they were made (hdiutil convert)",
                    {in_trailer(60, 63, std::to_string(segments) + " segments")})
          .as(code::external_extent);
    const std::uint64_t sectors = get_be<std::uint64_t>(b, 492);
    const std::string disk = in_trailer(492, 499, "a disk of " + std::to_string(sectors) + " sectors");
    if (sectors > largest_disk / 512) throw damaged(file, disk, code::invalid_size);
    check_size(file, sectors * 512, disk);
    check_forks(file, b, at);
    return {.format = name, .variant = {}, .virtual_size = sectors * 512, .file_size = size, .details = {}};
  }

 private:
  /// Data, resources and property list lie before the trailer, and one of the latter two says where the blocks are.
  static void check_forks(const File& file, std::span<const std::byte> b, std::uint64_t trailer) {
    const auto check = [&](std::size_t field_at, const std::string& what) {
      const auto begin = get_be<std::uint64_t>(b, field_at), length = get_be<std::uint64_t>(b, field_at + 8);
      if (begin > trailer || length > trailer - begin)
        throw damaged(file, in_trailer(field_at, field_at + 15,
                                       what + " of " + std::to_string(length) + " bytes at " + std::to_string(begin)));
      return length;
    };
    check(24, "data");
    const std::uint64_t resources = check(40, "resources"), list = check(216, "a property list");
    if ((resources == 0 && list == 0) || list > most_xml || resources > most_xml)
      throw damaged(file, in_trailer(216, 231, "no list of blocks, or one of more than 16 MiB"));
  }
};

}  // namespace
}  // namespace kiln::foreign

KILN_FORMAT(kiln::foreign::Foreign<kiln::foreign::Dmg>)
