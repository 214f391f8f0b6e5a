// VMware's disk format.

#include <string>

#include <kiln/plugin.h>
#include <kiln/text.h>

#include "reader.h"
#include "writer.h"

namespace kiln::vmdk {
namespace {

struct Options {
  std::string subformat = "monolithicSparse";
  std::int64_t level = 0;
  std::string adapter = "lsilogic";
};

class Vmdk final : public FormatOf<Options> {
 public:
  Vmdk()
      : FormatOf(
            {.name = "vmdk", .summary = "The disk of VMware and of OVF appliances.", .extensions = {"vmdk"}},
            {{"subformat",
              &Options::subformat,
              {"monolithicSparse", "streamOptimized"},
              "\"monolithicSparse\" is for use in place; \"streamOptimized\" is compressed, for transport and OVA."},
             {"level", &Options::level, "Compression of \"streamOptimized\": 1 to 12, 0 for the default."},
             {"adapter",
              &Options::adapter,
              {"lsilogic", "buslogic", "ide"},
              "The disk controller that VMware's products attach it to."}}) {}

  Match probe(const Glimpse& glimpse) const override {
    const auto head = glimpse.head;
    return is_hosted_sparse(head) || is_host_sparse(head) || is_se_sparse(head) || is_descriptor(head) ? Match::yes
                                                                                                       : Match::no;
  }

  Inspection inspect(const File& file) const override {
    const Reader reader(file.again());
    const Descriptor& descriptor = reader.descriptor();
    Inspection found{.format = "vmdk",
                     .variant = descriptor.create_type,
                     .virtual_size = reader.size(),
                     .file_size = file.size(),
                     .details = {{"extents", std::to_string(reader.pieces().size())}},
                     .beside = reader.beside()};
    if (!descriptor.adapter.empty()) found.details["adapter"] = printable(descriptor.adapter, 40);
    for (const Reader::Piece& piece : reader.pieces())
      if (piece.sparse) describe(*piece.sparse, found);
    return found;
  }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    return std::make_shared<Reader>(std::move(file));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& path, std::uint64_t size,
                                    const Options& options) const override {
    const bool stream = options.subformat == "streamOptimized";
    if (options.level < 0 || options.level > highest_level || (options.level != 0 && !stream))
      throw invalid("level " + std::to_string(options.level) + " does not fit subformat \"" + options.subformat + "\"",
                    "\"streamOptimized\" takes 1 to 12, and 0 is the default");
    if (!stream) return std::make_unique<SparseWriter>(path, size, options.adapter);
    const int level = options.level != 0 ? static_cast<int>(options.level) : usual_level;
    return std::make_unique<StreamWriter>(path, size, options.adapter, level);
  }

 private:
  static void describe(const Sparse& extent, Inspection& found) {
    const Header& header = extent.header();
    found.details["grain_size"] = std::to_string(header.grain_bytes());
    found.details["version"] = std::to_string(header.version);
    found.details["compressed"] = header.is_compressed() ? "yes" : "no";
    if (header.unclean)
      found.findings.push_back(
          {.code = std::string(code::damaged),
           .severity = Severity::warning,
           .what = "the disk was in use when it was copied, or its host crashed",
           .evidence = {extent.file().path().filename().string() +
                        (header.cowd ? ": COWD header, bytes 1648..1651" : ": VMDK header, byte 72") +
                        ": unclean shutdown"},
           .hint = "shut the machine down before its disk is copied"});
  }
};

}  // namespace
}  // namespace kiln::vmdk

KILN_FORMAT(kiln::vmdk::Vmdk)
