#include <gmock/gmock.h>

#include "preflight_run.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string in_time = "$(command -v timeout >/dev/null && echo timeout 1800) ";

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
  EXPECT_THAT(guest().commands, ElementsAre(in_time + "update-initramfs -u -k all"));
}

TEST_F(Kernel, GetsAnInitramfsOfDracut) {
  initramfs() = cpio_of({"bin/sh"});
  file("/usr/bin/dracut") = "program";
  mended();
  EXPECT_EQ(file("/etc/dracut.conf.d/90-kiln-virtio.conf"), "add_drivers+=\" virtio_pci virtio_blk \"\n");
  EXPECT_THAT(guest().commands, ElementsAre(in_time + "dracut --force --regenerate-all"));
}

TEST_F(Kernel, EndsTheStageWhenItMayBeHalfMended) {
  initramfs() = cpio_of({"bin/sh"});
  file("/usr/sbin/update-initramfs") = "program";
  guest().failures[in_time + "update-initramfs -u -k all"] = "No space left on device";
  EXPECT_EQ(refusal({{"fix", Value{true}}}), "mending the kernels failed: No space left on device");
}

TEST_F(Kernel, IsNotMendedOverAListThatCannotBeRead) {
  initramfs() = cpio_of({"bin/sh"});
  file("/usr/sbin/update-initramfs") = "program";
  file("/etc/initramfs-tools/modules") = std::string((1u << 20) + 1, 'x');
  EXPECT_THAT(mended(), ElementsAre("VirtioNotInstall note", "VirtioNotInstall warning"));
  EXPECT_EQ(ctx.findings[0].what, "no initramfs was made anew: its list of modules cannot be read");
  EXPECT_EQ(file("/etc/initramfs-tools/modules").size(), (1u << 20) + 1);
  EXPECT_TRUE(guest().commands.empty());
}

/// Kernels of other distributions, in the place of Debian's.
class Layout : public Kernel {
 protected:
  Layout() {
    good_ = initramfs();
    modules_ = file("/lib/modules/6.1/modules.dep");
    builtin_ = file("/lib/modules/6.1/modules.builtin");
    std::erase_if(guest().files, [](const auto& f) {
      return f.first.starts_with("/lib/modules") || f.first.starts_with("/boot/vmlinuz") ||
             f.first.starts_with("/boot/initrd");
    });
  }
  void modules(const std::string& folder) {
    file(folder + "/modules.dep") = modules_;
    file(folder + "/modules.builtin") = builtin_;
  }
  std::string good_, modules_, builtin_;
};

TEST_F(Layout, OfAlpine) {
  for (const char* flavour : {"virt", "lts"}) {
    file(std::string("/boot/vmlinuz-") + flavour) = "kernel";
    file(std::string("/boot/initramfs-") + flavour) = good_;
    modules(std::string("/lib/modules/6.6.9-0-") + flavour);
  }
  EXPECT_THAT(found(), ElementsAre());
  modules("/lib/modules/6.6.10-0-virt");
  file("/lib/modules/6.6.9-0-virt/modules.dep") = "kernel/drivers/extra.ko:\n";
  EXPECT_THAT(found(), ElementsAre()) << "the folder before the upgrade does not count";
  file("/lib/modules/6.6.9-0-lts/modules.dep") =
      "kernel/drivers/block/virtio_blk.ko:\nkernel/drivers/net/virtio_net.ko:\n";
  file("/boot/config-lts") = "CONFIG_VIRTIO_PCI=y\n";
  EXPECT_THAT(found(), ElementsAre()) << "the configuration is called after the flavour";
  file("/boot/initramfs-lts") = cpio_of({"bin/sh"});
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning"));
  EXPECT_EQ(finding("VirtioNotInstall").what, "kernel 6.6.9-0-lts cannot reach a virtio disk when it starts");
}

TEST_F(Layout, OfArch) {
  modules("/usr/lib/modules/6.9.1-arch1-1");
  file("/usr/lib/modules/6.9.1-arch1-1/pkgbase") = "linux\n";
  file("/usr/lib/modules/6.9.1-arch1-1/vmlinuz") = file("/boot/vmlinuz-linux") = "kernel";
  file("/boot/initramfs-linux.img") = file("/boot/initramfs-linux-fallback.img") = good_;
  EXPECT_THAT(found(), ElementsAre());
  guest().files.erase("/boot/vmlinuz-linux");
  EXPECT_THAT(found(), ElementsAre()) << "the package's name is known without it";
  file("/boot/initramfs-linux.img") = cpio_of({"bin/sh"});
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning"));
  guest().files.erase("/boot/initramfs-linux.img");
  EXPECT_THAT(found({{"profile", text("tencent")}}), ElementsAre("VirtioNotInstall note"));
  EXPECT_THAT(finding("VirtioNotInstall").what, HasSubstr("cannot be told"));
  EXPECT_THAT(finding("VirtioNotInstall").evidence,
              ElementsAre("/boot/initramfs-linux-fallback.img may be its initramfs"));
}

TEST_F(Layout, OfRhel) {
  const std::string version = "5.14.0-427.el9.x86_64";
  modules("/lib/modules/" + version);
  file("/lib/modules/" + version + "/vmlinuz") = file("/boot/vmlinuz-" + version) = "kernel";
  file("/boot/.vmlinuz-" + version + ".hmac") = "sum";
  file("/boot/vmlinuz-0-rescue-1234") = "kernel";
  file("/boot/initramfs-0-rescue-1234.img") = file("/boot/initramfs-" + version + "kdump.img") = cpio_of({"bin/sh"});
  file("/boot/initramfs-" + version + ".img") = good_;
  file("/boot/loader/entries/1234-" + version + ".conf") =
      "linux /vmlinuz-" + version + "\noptions root=/dev/sda1 ro\n";
  EXPECT_THAT(found(), ElementsAre("FstabUnstableName warning"));
  file("/usr/bin/dracut") = "program";
  file("/boot/initramfs-" + version + ".img") = cpio_of({"bin/sh"});
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning", "FstabUnstableName warning"));
  guest().files.erase("/boot/initramfs-" + version + ".img");
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning", "FstabUnstableName warning")) << "rescue is not its own";
}

TEST_F(Layout, OfKernelInstallAndUnified) {
  for (const std::string boot : {"/efi/", "/boot/", "/boot/efi/"}) {
    modules("/lib/modules/6.9.4");
    file(boot + "0123/6.9.4/linux") = "kernel";
    file(boot + "0123/6.9.4/initrd") = good_;
    EXPECT_THAT(found(), ElementsAre()) << boot;
    file(boot + "0123/6.9.4/initrd") = cpio_of({"bin/sh"});
    EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning")) << boot;
    guest().files.erase(boot + "0123/6.9.4/linux");
    guest().files.erase(boot + "0123/6.9.4/initrd");
    file(boot + "EFI/Linux/arch-linux.efi") = "both";
    file("/usr/lib/modules/6.9.4/vmlinuz") = "kernel";
    EXPECT_THAT(found(), ElementsAre("VirtioNotInstall note")) << boot;
    guest().files.erase("/usr/lib/modules/6.9.4/vmlinuz");
    EXPECT_THAT(found(), ElementsAre("VirtioNotInstall note")) << boot;
    guest().files.erase(boot + "EFI/Linux/arch-linux.efi");
  }
}

/// A file that claims 4 GiB, and few bytes that unpack to many: the same frame of zeros again and again.
TEST_F(Kernel, IsNotUnpackedForEver) {
  std::string head = cpio_of({"big"}).substr(0, 116);
  head.replace(54, 8, "ffffffff");
  const std::string zeros = packed("zstd -q -c", std::string(64u << 20, '\0'));
  initramfs() = packed("zstd -q -c", head);
  for (int i = 0; i < 100; ++i) initramfs() += zeros;
  EXPECT_THAT(found(), ElementsAre("VirtioNotInstall warning"));
  EXPECT_THAT(finding("VirtioNotInstall").evidence, testing::Contains("it unpacks to more than 1 GiB"));
  ctx.on_progress = [&](const Progress& p) {
    if (p.what == "kernels") ctx.stop_source.request_stop();
  };
  EXPECT_THROW(found(), Error);
  EXPECT_TRUE(ctx.findings.empty()) << "it obeys, and tells nothing of what it has not read";
}

}  // namespace
}  // namespace kiln::test
