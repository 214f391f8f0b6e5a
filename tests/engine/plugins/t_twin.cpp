// A format that takes every file for its own.
#include <kiln/plugin.h>

namespace kiln {
namespace {

struct Options {};

class Twin final : public FormatOf<Options> {
 public:
  Twin() : FormatOf({.name = "t-twin", .summary = "Says yes to everything."}, Schema<Options>{}) {}
  Match probe(const Glimpse&) const override { return Match::yes; }
  Inspection inspect(const File&) const override { return {}; }
  std::shared_ptr<const BlockReader> open(File, std::shared_ptr<const BlockReader>) const override { return nullptr; }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path&, std::uint64_t, const Options&) const override {
    return nullptr;
  }
};

}  // namespace
}  // namespace kiln

KILN_FORMAT(kiln::Twin)
