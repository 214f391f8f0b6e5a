// VirtualBox's disk format.

#include <string>

#include <kiln/plugin.h>
#include <kiln/text.h>

#include "reader.h"
#include "writer.h"

namespace kiln::vdi {
namespace {

struct Options {
  std::string subformat = "dynamic";
};

class Vdi final : public FormatOf<Options> {
 public:
  Vdi()
      : FormatOf({.name = "vdi", .summary = "The disk of VirtualBox.", .extensions = {"vdi"}},
                 {{"subformat",
                   &Options::subformat,
                   {"dynamic", "static"},
                   "\"dynamic\" holds only what is used; \"static\" has the disk's full size."}}) {}

  Match probe(const Glimpse& glimpse) const override { return has_mark(glimpse.head) ? Match::yes : Match::no; }

  Inspection inspect(const File& file) const override {
    const Reader reader(file.again());
    const Layout& layout = reader.layout();
    Inspection found{.format = "vdi",
                     .variant = layout.type == fixed ? "static" : "dynamic",
                     .virtual_size = reader.size(),
                     .file_size = layout.file_size,
                     .details = {{"allocated_blocks", std::to_string(layout.allocated)},
                                 {"block_size", std::to_string(layout.block_size)},
                                 {"creator", printable(layout.creator)}}};
    if (layout.block_extra != 0) found.details["block_extra"] = std::to_string(layout.block_extra);
    if (layout.disk_size != reader.size()) found.details["disk_size"] = std::to_string(layout.disk_size);
    if (layout.allocated != layout.allocated_says)
      found.findings.push_back({.code = std::string(code::damaged),
                                .severity = Severity::note,
                                .what = "the header counts the blocks in use wrongly",
                                .evidence = {"VDI header, bytes 388..391: " + std::to_string(layout.allocated_says) +
                                             " blocks, the block map has " + std::to_string(layout.allocated)},
                                .hint = "nothing is lost: the block map counts"});
    return found;
  }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    return std::make_shared<Reader>(std::move(file));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& path, std::uint64_t size,
                                    const Options& options) const override {
    return std::make_unique<Writer>(path, size, options.subformat == "static" ? fixed : dynamic);
  }
};

}  // namespace
}  // namespace kiln::vdi

KILN_FORMAT(kiln::vdi::Vdi)
