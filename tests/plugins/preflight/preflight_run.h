#pragma once
// Runs the stage against a guest that is a map of files: a sound Debian, of which each test breaks one thing.

#include <algorithm>
#include <string>
#include <vector>

#include <kiln/file.h>
#include <kiln/testing.h>

#include "plugins/preflight/cpio.h"
#include "support/plugins.h"
#include "support/temp.h"
#include "support/values.h"

namespace kiln::test {

class PreflightRun {
 public:
  PreflightRun() {
    auto& files = guest().files;
    files["/boot/vmlinuz-6.1"] = "kernel";
    files["/boot/grub/grub.cfg"] = "menuentry";
    files["/lib/modules/6.1/modules.builtin"] =
        "kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio_ring.ko\n";
    files["/lib/modules/6.1/modules.dep"] =
        "kernel/drivers/block/virtio_blk.ko: \nkernel/drivers/virtio/virtio_pci.ko: "
        "\nkernel/drivers/net/virtio_net.ko:\n";
    files["/boot/initrd.img-6.1"] = cpio_of({"usr/lib/modules/6.1/kernel/drivers/block/virtio_blk.ko",
                                             "usr/lib/modules/6.1/kernel/drivers/virtio/virtio_pci.ko.zst"});
    files["/etc/fstab"] = "# <file system>\nUUID=0b1e-52 / ext4 defaults 0 1\nproc /proc proc defaults 0 0\n";
    files["/usr/bin/cloud-init"] = "program";
    guest().call_results["vfs-uuid"] = "0b1e-52\n";
    guest().facts["os.root"] = "/dev/sda1";
    ctx.size = 8ull << 30;
  }

  fakes::FakeGuest& guest() { return ctx.fake_guest; }
  std::string& file(const std::string& path) { return guest().files[path]; }

  /// Codes of what was found, "code severity", in order.
  std::vector<std::string> found(Table params = {}) {
    ctx.findings.clear();
    load_stage("preflight").run_with(ctx, params);
    return told();
  }
  std::vector<std::string> mended() { return found({{"fix", Value{true}}}); }
  /// The error that ended it, and its evidence; empty when it did not.
  std::string refusal(Table params) {
    ctx.findings.clear();
    try {
      load_stage("preflight").run_with(ctx, params);
    } catch (const Error& error) {
      code = error.code();
      std::string text = error.what();
      for (const std::string& line : error.evidence()) text += "\n" + line;
      return text;
    }
    return "";
  }
  std::vector<std::string> told() const {
    std::vector<std::string> out;
    for (const Finding& f : ctx.findings) out.push_back(f.code + ' ' + std::string(name_of(f.severity)));
    return out;
  }
  /// The finding of a code: the last one.
  Finding finding(std::string_view of) const {
    const auto it =
        std::find_if(ctx.findings.rbegin(), ctx.findings.rend(), [&](const Finding& f) { return f.code == of; });
    return it == ctx.findings.rend() ? Finding{.code = "none", .what = {}} : *it;
  }
  std::string profile(const std::string& name, const std::string& text) {
    write_text(dir / (name + ".toml"), text);
    return (dir / (name + ".toml")).string();
  }

  fakes::FakeContext ctx;
  std::string code;
  const TempDir dir;
};

}  // namespace kiln::test
