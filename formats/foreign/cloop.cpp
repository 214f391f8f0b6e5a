// Compressed loop device, version 2 (cloop 2.x of Knoppix: compressed_loop.h). All numbers are big-endian.
#include "foreign.h"

#include <array>

namespace kiln::foreign {
namespace {

constexpr std::string_view mark =
    "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";
constexpr std::uint64_t table_at = 136;
/// Its own program warns from 256 KiB on. For each read QEMU unpacks a whole block.
constexpr std::uint64_t largest_block = 4u << 20;

struct Cloop {
  static constexpr char name[] = "cloop";
  static constexpr char summary[] = "The compressed disk of Knoppix (read only).";
  static std::vector<std::string> extensions() { return {"cloop"}; }
  static bool probe(const Glimpse& glimpse) { return begins_with(glimpse, mark); }

  static Inspection inspect(const File& file) {
    std::array<std::byte, table_at> b{};
    file.read_at(0, b);
    if (std::string_view(reinterpret_cast<const char*>(b.data()), mark.size()) != mark)
      throw Error(file.path().string() + " is not a cloop disk", "give the format that it has",
                  {field("cloop header", 0, mark.size() - 1, "no mark")})
          .as(code::format_mismatch);
    const std::uint64_t block = get_be<std::uint32_t>(b, 128), count = get_be<std::uint32_t>(b, 132);
    if (block == 0 || block % 512 != 0 || block > largest_block)
      throw damaged(file, field("cloop header", 128, 131, "a block of " + std::to_string(block) + " bytes"));
    // QEMU 7.2 counts sectors in 32 bits.
    if (count == 0 || count * (block / 512) > UINT32_MAX)
      throw damaged(file, field("cloop header", 132, 135, std::to_string(count) + " blocks"), code::invalid_size);
    check_offsets(file, block, count);
    return {.format = name,
            .variant = "2",
            .virtual_size = block * count,
            .file_size = file.size(),
            .details = {{"block_size", std::to_string(block)}}};
  }

 private:
  /// Where each block begins, and where the last one ends.
  static void check_offsets(const File& file, std::uint64_t block, std::uint64_t count) {
    const std::uint64_t table_end = table_at + (count + 1) * 8, size = file.size();
    if (table_end > size) throw truncated(file, "the table of blocks", table_end);
    constexpr std::uint64_t step = 1u << 16;
    std::vector<std::byte> part;
    std::uint64_t before = table_end;
    for (std::uint64_t first = 0; first <= count; first += step) {
      part.resize(std::min(step, count + 1 - first) * 8);
      file.read_at(table_at + first * 8, part);
      for (std::size_t i = 0; i < part.size() / 8; ++i) {
        const auto at = get_be<std::uint64_t>(part, i * 8);
        const std::string which = "block " + std::to_string(first + i);
        if (at > size) throw truncated(file, which, at);
        // What does not shrink grows a little.
        if (at < before || (first + i > 0 && at - before > 2 * block + 1024))
          throw damaged(file, which + " is said to begin at byte " + std::to_string(at));
        before = at;
      }
    }
  }
};

}  // namespace
}  // namespace kiln::foreign

KILN_FORMAT(kiln::foreign::Foreign<kiln::foreign::Cloop>)
