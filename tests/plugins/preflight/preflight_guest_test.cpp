// One appliance for all of it: it builds the disk, is checked, mended and checked again.
#include <gmock/gmock.h>

#include <kiln/file.h>

#include "guest/stage_context.h"
#include "guest/tiny_guest.h"
#include "preflight_run.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;

/// A Debian of a few megabytes with all that preflight looks for, and a tar of it.
void make_root(const TempDir& dir) {
  const std::filesystem::path root = dir / "root";
  make_tiny_root(root);
  const auto put = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root / path).parent_path());
    write_text(root / path, text);
  };
  put("boot/vmlinuz-6.1", "kernel");
  put("boot/efi/here", "");
  put("boot/grub/grub.cfg", "menuentry");
  put("boot/initrd.img-6.1", cpio_of({"bin/sh"}));
  put("lib/modules/6.1/modules.builtin", "kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio_ring.ko\n");
  put("lib/modules/6.1/modules.dep",
      "kernel/drivers/block/virtio_blk.ko:\nkernel/drivers/virtio/virtio_pci.ko:\nkernel/drivers/net/virtio_net.ko:\n");
  // In the place of the real one: it takes what it was told.
  put("good", cpio_of({"lib/virtio_blk.ko", "lib/virtio_pci.ko"}));
  put("usr/sbin/update-initramfs",
      "#!/bin/sh\necho \"$@\" >/called\ncat /etc/initramfs-tools/modules >>/called\ncat /good >/boot/initrd.img-6.1\n");
  std::filesystem::permissions(root / "usr/sbin/update-initramfs", std::filesystem::perms(0755));
  put("etc/fstab", "/dev/sda2 / ext4 defaults 0 1\nnas:/x /mnt nfs defaults,nofail 0 0\n");
  put("etc/network/interfaces", "iface eth0 inet static\n  address 10.0.0.5/24\n");
  put("usr/bin/cloud-init", "program");
  put("etc/ssh/ssh_host_rsa_key", "key");
  const Outcome o =
      run({"tar", "-C", root.string(), "--owner=0", "--group=0", "-cf", (dir / "root.tar").string(), "."});
  ASSERT_EQ(o.status, 0) << o.output;
}

/// GPT with an EFI system partition that the system does not mount, and its root file system.
void build(Guest& g, const TempDir& dir) {
  g.call({"part-init", "/dev/sda", "gpt"});
  g.call({"part-add", "/dev/sda", "primary", "2048", "73727"});
  g.call({"part-set-gpt-type", "/dev/sda", "1", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"});
  g.call({"part-add", "/dev/sda", "primary", "73728", "194559"});
  g.call({"mkfs", "vfat", "/dev/sda1"});
  g.call({"mkfs", "ext4", "/dev/sda2"});
  g.call({"mount", "/dev/sda2", "/"});
  g.call({"tar-in", (dir / "root.tar").string(), "/"});
  g.call({"umount-all"});
  g.call({"mount", "/dev/sda1", "/"});
  g.make_directory("/EFI/debian");
  g.write("/EFI/debian/grubx64.efi", "grub of debian");
  g.call({"umount-all"});
}

std::vector<std::string> codes(const StageContext& context) {
  std::vector<std::string> out;
  for (const Finding& f : context.findings) out.push_back(f.code + ' ' + std::string(name_of(f.severity)));
  return out;
}

/// The disk as it is, while the appliance has it.
std::string bytes_of(StageContext& context, const TempDir& dir) {
  context.guest().call({"umount-all"});
  qemu_img({"convert", "-U", "-f", "qcow2", "-O", "raw", (dir / "a.qcow2").string(), (dir / "now.raw").string()});
  return read_text(dir / "now.raw", 96u << 20);
}

void everything_is_mended(Guest& g) {
  const std::string uuid = g.call({"vfs-uuid", "/dev/sda2"});
  EXPECT_EQ(g.read("/etc/fstab"), "UUID=" + uuid + " / ext4 defaults 0 1\nnas:/x /mnt nfs defaults,nofail 0 0\n");
  EXPECT_EQ(g.read("/called"), "-u -k all\nvirtio_pci\nvirtio_blk\n");
  EXPECT_EQ(g.read("/etc/network/interfaces"), "iface eth0 inet dhcp\n# kiln:   address 10.0.0.5/24\n");
  EXPECT_EQ(g.read("/var/lib/kiln/saved/etc/network/interfaces"), "iface eth0 inet static\n  address 10.0.0.5/24\n");
  g.call({"umount-all"});
  g.call({"mount", "/dev/sda1", "/"});
  EXPECT_EQ(g.read("/EFI/BOOT/BOOTX64.EFI"), "grub of debian");
  g.call({"umount-all"});
}

TEST(PreflightGuest, FindsAndMends) {
  const TempDir dir;
  make_root(dir);
  qemu_img({"create", "-q", "-f", "qcow2", (dir / "a.qcow2").string(), "96M"});
  StageContext context(dir / "a.qcow2", dir.path());
  const Stage& preflight = load_stage("preflight");

  context.run(preflight, {});
  EXPECT_THAT(codes(context), ElementsAre("PartitionNotPresent warning", "RootPartitionNotFound warning"));

  build(context.guest(), dir);
  context.findings.clear();
  const std::string before = bytes_of(context, dir);
  try {
    context.run(preflight, {{"profile", text("tencent")}});
    FAIL() << "it was let through";
  } catch (const Error& error) {
    EXPECT_EQ(error.failure(), Failure::refused);
    EXPECT_THAT(error.what(), HasSubstr(": VirtioNotInstall, FstabUnstableName"));
  }
  EXPECT_THAT(codes(context), ElementsAre("VirtioNotInstall error", "FstabUnstableName error",
                                          "UefiFallbackMissing warning", "StaticNetwork warning", "SecretsFound note"));
  EXPECT_TRUE(bytes_of(context, dir) == before) << "a look changes nothing";
  EXPECT_FALSE(context.guest().exists("/called")) << "and runs nothing";

  context.findings.clear();
  context.run(preflight, {{"profile", text("tencent")}, {"fix", Value{true}}});
  EXPECT_THAT(codes(context), ElementsAre("VirtioNotInstall note", "FstabUnstableName note", "UefiFallbackMissing note",
                                          "StaticNetwork note", "SecretsFound note"));
  EXPECT_EQ(context.summed_up, "4 mended, 1 finding: SecretsFound");
  EXPECT_THAT(context.warned, ElementsAre());
  everything_is_mended(context.guest());
}

}  // namespace
}  // namespace kiln::test
