#include <gmock/gmock.h>

#include "preflight_run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Boot : public testing::Test, protected PreflightRun {
 protected:
  Boot() {
    guest().devices = {"/dev/sda1 vfat", "/dev/sda2 ext4"};
    guest().call_results["mountpoints"] = "/ /dev/sda2\n/boot/efi /dev/sda1\n";
    file("/boot/efi/EFI/debian/grubx64.efi") = "grub";
    file("/boot/efi/EFI/debian/shimx64.efi") = "shim";
    file("/boot/efi/EFI/debian/mmx64.efi") = "keys";
  }

  /// What was mounted and unmounted, in order.
  std::vector<std::string> mounting() {
    std::vector<std::string> out;
    for (const auto& words : guest().calls) {
      if (words[0].find("mount") == std::string::npos || words[0] == "mountpoints") continue;
      out.push_back(words[0]);
      for (std::size_t i = 1; i < words.size(); ++i) out.back() += ' ' + words[i];
    }
    return out;
  }
};

TEST_F(Boot, NeedsTheFallbackPath) {
  EXPECT_THAT(found(), ElementsAre("UefiFallbackMissing warning"));
  const Finding finding = this->finding("UefiFallbackMissing");
  EXPECT_THAT(finding.evidence, ElementsAre("/dev/sda1 has no /EFI/BOOT/BOOTX64.EFI",
                                            "its boot loader is /boot/efi/EFI/debian/shimx64.efi"));
  EXPECT_TRUE(finding.mendable);
  file("/boot/efi/EFI/BOOT/BOOTX64.EFI") = "any";
  EXPECT_THAT(found(), ElementsAre());
  guest().facts["os.arch"] = "aarch64";
  EXPECT_THAT(found(), ElementsAre("UefiFallbackMissing warning"));
  EXPECT_FALSE(this->finding("UefiFallbackMissing").mendable) << "there is no loader for this machine";
}

TEST_F(Boot, GetsTheFallbackPath) {
  EXPECT_THAT(mended(), ElementsAre("UefiFallbackMissing note"));
  EXPECT_EQ(file("/boot/efi/EFI/BOOT/BOOTX64.EFI"), "shim");
  EXPECT_EQ(file("/boot/efi/EFI/BOOT/grubx64.efi"), "grub") << "shim starts what lies beside it";
  EXPECT_EQ(file("/boot/efi/EFI/BOOT/mmx64.efi"), "keys");
}

TEST_F(Boot, LooksIntoASystemPartitionThatIsNotMounted) {
  guest().call_results["mountpoints"] = "/ /dev/sda2\n";
  file("/EFI/centos/grubx64.efi") = "grub";
  EXPECT_THAT(found(), ElementsAre("UefiFallbackMissing warning"));
  EXPECT_THAT(mounting(), ElementsAre("umount-all", "umount-all", "mount-os read-only", "umount-all",
                                      "mount-ro /dev/sda1 /", "umount-all", "mount-os read-only", "umount-all"))
      << "a look changes nothing, and the system comes back as it was found";
  guest().calls.clear();
  mended();
  EXPECT_EQ(file("/EFI/BOOT/BOOTX64.EFI"), "grub");
  EXPECT_THAT(mounting(), testing::IsSupersetOf({"mount-os", "mount-ro /dev/sda1 /", "mount /dev/sda1 /"}));
}

TEST_F(Boot, LeavesNoHalfOfALoader) {
  file("/boot/efi/EFI/debian/shimx64.efi") = std::string((64u << 20) + 1, 'x');
  EXPECT_THAT(mended(), ElementsAre("UefiFallbackMissing note", "UefiFallbackMissing warning"));
  EXPECT_THAT(ctx.findings[0].what, HasSubstr("could not be copied: /boot/efi/EFI/debian/shimx64.efi is larger"));
  EXPECT_THAT(guest().glob("/boot/efi/EFI/BOOT/*"), ElementsAre()) << "what was copied before it is gone";
  EXPECT_EQ(ctx.summed_up, "1 finding: UefiFallbackMissing");
}

TEST_F(Boot, RelabelsNoSystemWhoseFilesAreAsTheyWere) {
  file("/etc/selinux/config") = "SELINUX=enforcing\n";
  EXPECT_THAT(mended(), ElementsAre("UefiFallbackMissing note"));
  EXPECT_FALSE(guest().exists("/.autorelabel"));
}

TEST_F(Boot, MayBeForNoFirmwareAtAll) {
  guest().devices = {"/dev/sda1 ext4"};
  guest().files.erase("/boot/grub/grub.cfg");
  EXPECT_THAT(found(), ElementsAre("BootLoaderMissing warning"));
  file("/boot/loader/entries/a.conf") = "title a";
  EXPECT_THAT(found(), ElementsAre());
}

TEST_F(Boot, IsAnErrorWhereTheProfileSaysSo) {
  EXPECT_THAT(refusal({{"profile", text("aws")}}),
              HasSubstr("does not meet profile \"aws\": UefiFallbackMissing\nUefiFallbackMissing: UEFI firmware"));
  EXPECT_EQ(refusal({{"profile", text("aws")}, {"fix", Value{true}}}), "");
}

}  // namespace
}  // namespace kiln::test
