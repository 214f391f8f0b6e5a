#include <kiln/file.h>
#include <kiln/plugin.h>

#include <filesystem>
#include <span>

#include "mishap.h"

namespace kiln {
namespace {

struct Params {
  std::string mishap;
};

/// Into every layer but the disk's own.
void write_below(const std::filesystem::path& disk) {
  for (const auto& entry : std::filesystem::directory_iterator(disk.parent_path().parent_path())) {
    const auto file = entry.path() / "disk.qcow2";
    if (!std::filesystem::exists(file) || file == disk) continue;
    std::filesystem::permissions(file, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
    File written = File::open_write(file);
    written.write_at(written.size(), std::as_bytes(std::span("x", 1)));
  }
}

class Look final : public StageOf<Params, Role::sink, Access::file> {
 public:
  Look()
      : StageOf({.name = "t-look", .summary = "Looks at the disk's file."},
                {{"mishap", &Params::mishap, "What goes wrong."}}) {}

 protected:
  void run(Context& ctx, const Params& p) const override {
    test::suffer(p.mishap, ctx);
    const DiskFile disk = ctx.disk();
    if (p.mishap == "write-below") write_below(disk.file);
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
