#include <algorithm>
#include <array>

#include <kiln/plugin.h>

namespace kiln {
namespace {

struct Params {
  std::string image;
};

/// Facts about the disk itself. The others tell how the parent was made, which its own record keeps.
bool still_true(std::string_view fact) {
  constexpr std::array<std::string_view, 3> whole{"arch", "boot.firmware", "disk.layout"};
  return fact.starts_with("os.") || std::ranges::find(whole, fact) != whole.end();
}

std::string reference_of(const Image& image) {
  return image.name + ':' + image.version;
}

class FromImage final : public StageOf<Params, Role::source> {
 public:
  FromImage()
      : StageOf({.name = "image", .summary = "Take an image of the catalog as the disk, to build another from it."},
                {{"image", &Params::image,
                  "The image: NAME (the newest), NAME:VERSION or NAME:CHANNEL, after OWNER/ "
                  "when it is another's.",
                  required}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    if (p.image.empty())
      c.problem("image", "\"image\" is empty", "give NAME, NAME:VERSION or NAME:CHANNEL, see kiln image list");
  }

  /// A name or a channel may mean another image by now, and one that was revoked cannot be built from any longer.
  bool still_there(const Params& p, const Facts& made, Catalog& catalog) const override {
    const auto parent = made.find("parent");
    const auto image = catalog.find(p.image);
    if (!image || parent == made.end() || parent->second != image->id) return false;
    try {
      (void)catalog.open(*image);
    } catch (const Error&) {
      return false;  // running it says why
    }
    return true;
  }

  void run(Context& ctx, const Params& p) const override {
    const auto image = ctx.catalog().find(p.image);
    if (!image)
      throw invalid("there is no image \"" + p.image + "\" to build from",
                    "see which images there are: kiln image list");
    const auto disk = ctx.catalog().open(*image);
    for (const std::string& warning : ctx.catalog().warnings(*image)) ctx.warn(warning);
    if (!image->parts.empty())
      ctx.warn("only the system disk of " + p.image + " is taken, without its " + std::to_string(image->parts.size()) +
               (image->parts.size() == 1 ? " part" : " parts"));
    Facts& facts = ctx.facts();
    for (const auto& [name, value] : image->facts)
      if (still_true(name)) facts[name] = value;
    facts["parent"] = image->id;
    facts["source.kind"] = "image";
    facts["source.image"] = reference_of(*image);
    ctx.summary(reference_of(*image) + ", " + format_bytes(disk->size()));
    ctx.produce(disk);
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::FromImage)
