#include <kiln/plugin.h>

#include "mishap.h"

namespace kiln {
namespace {

struct Params {
  std::string mishap;
};

class Look final : public StageOf<Params, Role::sink, Access::file> {
 public:
  Look()
      : StageOf({.name = "t-look", .summary = "Looks at the disk's file."},
                {{"mishap", &Params::mishap, "What goes wrong."}}) {}

 protected:
  void run(Context& ctx, const Params& p) const override {
    test::suffer(p.mishap, ctx);
    const DiskFile disk = ctx.disk();
    ctx.facts()["looked.writable"] = (std::filesystem::status(disk.file).permissions() &
                                      std::filesystem::perms::owner_write) == std::filesystem::perms::none
                                         ? "no"
                                         : "yes";
    ctx.log(ctx.exec({.program = "qemu-img", .args = {"check", "-f", disk.format, disk.file.string()}}));
    ctx.summary("it is a " + disk.format + " of " + format_bytes(ctx.disk_size()));
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Look)
