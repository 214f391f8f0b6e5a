#include <gmock/gmock.h>

#include "preflight_run.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Kernel : public testing::Test, protected PreflightRun {
 protected:
  std::string packed(const std::string& program, const std::string& bytes) {
    write_text(dir / "in", bytes);
    const Outcome o = run({"sh", "-c", program + " <\"$0\" >\"$1\"", (dir / "in").string(), (dir / "out").string()});
    EXPECT_EQ(o.status, 0) << o.output;
    return read_text(dir / "out");
  }
  std::string& initramfs() { return file("/boot/initrd.img-6.1"); }
};

TEST_F(Kernel, NeedsItsDriversInTheInitramfs) {
  initramfs() = cpio_of({"lib/modules/6.1/kernel/drivers/block/virtio_blk.ko", "etc/virtio_pci.conf"});
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning"));
  const Finding finding = this->finding("VirtioNotInstall");
  EXPECT_EQ(finding.what, "kernel 6.1 cannot reach a virtio disk when it starts");
  EXPECT_THAT(finding.evidence, ElementsAre("/boot/initrd.img-6.1 lacks: virtio_pci"));
  EXPECT_FALSE(finding.mendable) << "there is no program that makes it";
}

TEST_F(Kernel, IsReadInEveryUsualPacking) {
  const std::string early = cpio_of({"kernel/x86/microcode/AuthenticAMD.bin"}) + std::string(512, '\0');
  const std::string content = initramfs();
  for (const char* program : {"cat", "gzip -c", "xz -c --check=crc32", "zstd -c -q", "bzip2 -c", "lzma -c"}) {
    initramfs() = early + packed(program, content);
    EXPECT_THAT(found(), ElementsAre()) << program;
    initramfs() = packed(program, cpio_of({"bin/sh"}));
    EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning")) << program;
  }
}

TEST_F(Kernel, TellsWhenItCannotReadAnInitramfs) {
  const std::string whole = initramfs();
  for (const std::string& bytes :
       {std::string("not an archive at all"), whole.substr(0, 90), whole.substr(0, 130), whole.substr(0, 300) + "x",
        std::string("070701") + std::string(104, 'f') + "x", std::string("070701zzzzzzzz") + std::string(110, '0'),
        packed("gzip -c", whole).substr(0, 40), std::string("\x1f\x8b\x08garbage", 10)}) {
    initramfs() = bytes;
    EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning")) << bytes.substr(0, 8);
    EXPECT_THAT(finding("VirtioNotInstall").what, HasSubstr("cannot be told")) << bytes.substr(0, 8);
  }
}

TEST_F(Kernel, MayHaveThemBuiltIn) {
  guest().files.erase("/lib/modules/6.1/modules.dep");
  guest().files.erase("/boot/initrd.img-6.1");
  file("/boot/config-6.1") = "CONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_NET=y\n";
  EXPECT_THAT(found(), ElementsAre());
  file("/boot/config-6.1") = "CONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=y\n# CONFIG_VIRTIO_NET is not set\n";
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning"));
  EXPECT_THAT(finding("VirtioNotInstall").evidence,
              ElementsAre("/lib/modules/6.1: neither a module nor built in: virtio_net"));
  file("/lib/modules/6.1/modules.builtin") += "kernel/drivers/net/virtio-net.ko\n";
  EXPECT_THAT(found(), ElementsAre());
}

TEST_F(Kernel, IsLookedAtEachOnItsOwn) {
  for (const char* name : {"modules.dep", "modules.builtin"})
    file(std::string("/usr/lib/modules/6.9/") + name) = file(std::string("/lib/modules/6.9/") + name) =
        file(std::string("/lib/modules/6.1/") + name);
  file("/boot/vmlinuz-6.9") = "kernel";
  file("/boot/vmlinuz-0-rescue-1234") = "kernel";
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning"));
  EXPECT_THAT(finding("VirtioNotInstall").evidence, ElementsAre("no initramfs, and modules: virtio_pci, virtio_blk"));
  file("/boot/initramfs-6.9.img") = file("/boot/initrd.img-6.1");
  EXPECT_THAT(found(), ElementsAre());
}

TEST_F(Kernel, MayBeMissing) {
  guest().files.erase("/boot/vmlinuz-6.1");
  EXPECT_THAT(found(), ElementsAre("BootLoaderMissing warning"));
}

TEST_F(Kernel, GetsAnInitramfsMadeAnew) {
  initramfs() = cpio_of({"bin/sh"});
  file("/usr/sbin/update-initramfs") = "program";
  file("/etc/initramfs-tools/modules") = "# mine\nvirtio_pci";
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning"));
  EXPECT_TRUE(finding("VirtioNotInstall").mendable);

  EXPECT_THAT(mended(), ElementsAre("VirtioNotInstall note", "VirtioNotInstall warning"))
      << "what is found afterwards counts: this guest's program does nothing";
  EXPECT_EQ(file("/etc/initramfs-tools/modules"), "# mine\nvirtio_pci\nvirtio_blk\n");
  EXPECT_THAT(guest().commands, ElementsAre("update-initramfs -u -k all"));
}

TEST_F(Kernel, GetsAnInitramfsOfDracut) {
  initramfs() = cpio_of({"bin/sh"});
  file("/usr/bin/dracut") = "program";
  mended();
  EXPECT_EQ(file("/etc/dracut.conf.d/90-kiln-virtio.conf"), "add_drivers+=\" virtio_pci virtio_blk \"\n");
  EXPECT_THAT(guest().commands, ElementsAre("dracut --force --regenerate-all"));
}

TEST_F(Kernel, StaysAsItIsWhenMendingFails) {
  initramfs() = cpio_of({"bin/sh"});
  file("/usr/sbin/update-initramfs") = "program";
  guest().failures["update-initramfs -u -k all"] = "No space left on device";
  EXPECT_THAT(mended(), ElementsAre("VirtioNotInstall warning"));
  EXPECT_THAT(ctx.warnings, ElementsAre("mending the kernels failed: No space left on device"));
}

}  // namespace
}  // namespace kiln::test
