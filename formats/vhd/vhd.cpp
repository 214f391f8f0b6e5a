// Virtual PC's, Hyper-V's and Azure's disk format.

#include <cstdio>
#include <string>

#include <kiln/plugin.h>

#include "reader.h"
#include "writer.h"

namespace kiln::vhd {
namespace {

struct Options {
  std::string subformat = "dynamic";
  std::string size_by = "current-size";
};

std::string printable(const std::string& four) {
  std::string out;
  for (const char c : four)
    if (c >= ' ' && c <= '~') out += c;
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string describe(const Geometry& g) {
  return std::to_string(g.cylinders) + "/" + std::to_string(g.heads) + "/" + std::to_string(g.sectors);
}

class Vhd final : public FormatOf<Options> {
 public:
  Vhd()
      : FormatOf({.name = "vhd", .summary = "The disk of Virtual PC, Hyper-V and Azure.", .extensions = {"vhd", "vpc"}},
                 {{"subformat",
                   &Options::subformat,
                   {"dynamic", "fixed"},
                   "\"dynamic\" holds only what is used; \"fixed\" has the disk's full size (Azure takes no other)."},
                  {"size_by",
                   &Options::size_by,
                   {"current-size", "geometry"},
                   "\"current-size\" keeps the size exact. \"geometry\" rounds it up to whole cylinders, for Virtual "
                   "PC."}}) {}

  /// A fixed disk has its mark in its last 512 bytes only; a dynamic one at both ends.
  Match probe(const Glimpse& glimpse) const override {
    const auto ends = [&](std::size_t length) {
      return glimpse.tail.size() >= length && has_mark(glimpse.tail.last(length));
    };
    return has_mark(glimpse.head) || ends(footer_size) || ends(footer_size - 1) ? Match::yes : Match::no;
  }

  Inspection inspect(const File& file) const override {
    const Reader reader(file.again());
    const Layout& layout = reader.layout();
    const Footer& f = layout.footer;
    Inspection found{.format = "vhd",
                     .variant = layout.is_fixed() ? "fixed" : "dynamic",
                     .virtual_size = reader.size(),
                     .file_size = layout.file_size,
                     .details = {{"creator", printable(f.creator)},
                                 {"creator_host", printable(f.host)},
                                 {"current_size", std::to_string(f.current_size)},
                                 {"geometry", describe(f.geometry)},
                                 {"size_by", reader.sized_by() == SizeRule::geometry ? "geometry" : "current-size"}}};
    if (!layout.is_fixed()) found.details["block_size"] = std::to_string(layout.block_size);
    if (layout.footer_from_copy) found.details["footer"] = "damaged, its copy at the start was used";
    if (f.saved_state) found.details["saved_state"] = "yes: the machine was suspended when the disk was taken";
    return found;
  }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    return std::make_shared<Reader>(std::move(file));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& path, std::uint64_t size,
                                    const Options& options) const override {
    return std::make_unique<Writer>(
        path, size,
        Writer::Settings{.dynamic = options.subformat == "dynamic", .by_geometry = options.size_by == "geometry"});
  }
};

}  // namespace
}  // namespace kiln::vhd

KILN_FORMAT(kiln::vhd::Vhd)
