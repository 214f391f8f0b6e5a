// Hyper-V's disk format.

#include <string>

#include <kiln/plugin.h>
#include <kiln/text.h>

#include "reader.h"
#include "writer.h"

namespace kiln::vhdx {
namespace {

struct Options {
  Bytes block_size{0};
};

Finding replayed(const Replay& replay) {
  const std::string entries = replay.entries == 1
                                  ? "entry " + std::to_string(replay.first)
                                  : "entries " + std::to_string(replay.first) + " to " + std::to_string(replay.last);
  return {.code = std::string(code::log_replayed),
          .severity = Severity::note,
          .what = "the log was replayed",
          .evidence = {"VHDX log: " + entries + ", " + std::to_string(replay.overlay.sectors()) +
                       " sectors of 4 KiB, " + std::to_string(replay.zeroed) + " bytes of zeros"},
          .hint = "the machine was not shut down cleanly; the file itself was not changed"};
}

Finding large_sectors() {
  return {.code = std::string(code::unsupported),
          .severity = Severity::warning,
          .what = "the disk has sectors of 4096 bytes",
          .evidence = {"VHDX metadata: logical sector size 4096"},
          .hint = "its partition table counts in them: attach it to a drive that has such sectors, too"};
}

class Vhdx final : public FormatOf<Options> {
 public:
  Vhdx()
      : FormatOf({.name = "vhdx", .summary = "The disk of Hyper-V.", .extensions = {"vhdx"}},
                 {{"block_size", &Options::block_size,
                   "Unit of allocation: a power of two from \"1M\" to \"256M\". 0: 1M, more for disks over 4 TiB."}}) {}

  Match probe(const Glimpse& glimpse) const override { return has_mark(glimpse.head) ? Match::yes : Match::no; }

  Inspection inspect(const File& file) const override {
    const Reader reader(file.again());
    const Layout& layout = reader.layout();
    const Header& header = reader.container().header();
    Inspection found{.format = "vhdx",
                     .variant = layout.fixed ? "fixed" : "dynamic",
                     .virtual_size = reader.size(),
                     .file_size = file.size(),
                     .details = {{"allocated_blocks", std::to_string(reader.bat().allocated())},
                                 {"block_size", std::to_string(layout.block_size)},
                                 {"creator", printable(header.creator)},
                                 {"log", header.has_log() ? "replayed" : "empty"},
                                 {"logical_sector_size", std::to_string(layout.logical_sector)},
                                 {"physical_sector_size", std::to_string(layout.physical_sector)}}};
    if (header.other_damaged) found.details["header"] = "one of the two is damaged, the other was used";
    if (layout.first_table_damaged || layout.second_table_damaged)
      found.details["region_table"] = "one of the two is damaged, the other was used";
    if (header.has_log()) found.findings.push_back(replayed(reader.container().replay()));
    if (layout.logical_sector != 512) found.findings.push_back(large_sectors());
    return found;
  }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    return std::make_shared<Reader>(std::move(file));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& path, std::uint64_t size,
                                    const Options& options) const override {
    return std::make_unique<Writer>(path, size, options.block_size.count);
  }
};

}  // namespace
}  // namespace kiln::vhdx

KILN_FORMAT(kiln::vhdx::Vhdx)
