#include <gmock/gmock.h>

#include "preflight_run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Fstab : public testing::Test, protected PreflightRun {};

TEST_F(Fstab, HasNothingAgainstASoundSystem) {
  EXPECT_THAT(found(), ElementsAre());
  EXPECT_EQ(ctx.summed_up, "0 findings");
  EXPECT_EQ(ctx.known_facts["preflight.profile"], "none");
  EXPECT_TRUE(guest().commands.empty()) << "no program of the guest was run";
}

TEST_F(Fstab, FindsWhatIsElsewhere) {
  file("/etc/fstab") +=
      "nas:/export /srv nfs4 rw 0 0\n"
      "//nas/share /mnt cifs credentials=/root/x 0 0\n"
      "/dev/sdb1 /data xfs defaults 0 2\n"
      "UUID=dead-beef /more ext4 defaults 0 2\n"
      "LABEL=gone /other ext4\n"
      "/dev/mapper/vg-data /lv ext4 defaults 0 2\n";
  EXPECT_THAT(found(), ElementsAre("FstabForeignMount warning"));
  EXPECT_THAT(
      finding("FstabForeignMount").evidence,
      ElementsAre(
          "/etc/fstab:4: nas:/export /srv nfs4 rw 0 0", "/etc/fstab:5: //nas/share /mnt cifs credentials=/root/x 0 0",
          "/etc/fstab:6: /dev/sdb1 /data xfs defaults 0 2", "/etc/fstab:7: UUID=dead-beef /more ext4 defaults 0 2",
          "/etc/fstab:8: LABEL=gone /other ext4", "/etc/fstab:9: /dev/mapper/vg-data /lv ext4 defaults 0 2"));
  EXPECT_FALSE(finding("FstabForeignMount").mendable);
}

TEST_F(Fstab, LeavesAloneWhatMayFailOrIsNoDisk) {
  file("/etc/fstab") =
      "# /dev/sda1 / ext4 defaults 0 1\n"
      "/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n"
      "nas:/export /srv nfs rw,nofail 0 0\n"
      "/dev/sdb1 /data xfs noauto 0 2\n"
      "/swapfile none swap sw 0 0\n"
      "tmpfs /tmp tmpfs size=1G 0 0\n"
      "PARTUUID=1-2 /boot/efi vfat umask=0077 0 1\n"
      "UUID=0B1E-52 / ext4 defaults 0 1\n"
      "short line\n";
  EXPECT_THAT(found(), ElementsAre());
}

TEST_F(Fstab, GivesDisksStableNames) {
  guest().devices = {"/dev/sda ext4", "/dev/sda1 ext4", "/dev/vg/root xfs"};
  const std::string before =
      "/dev/sda1\t/  ext4 errors=remount-ro 0 1\n"
      "/dev/vda1 /a ext4 defaults 0 2\n"
      "/dev/nvme0n1p1 /b ext4 defaults 0 2\n"
      "/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part1 /c ext4 defaults 0 2\n"
      "/dev/disk/by-id/ata-QEMU_HARDDISK_QM1-part1 /d ext4 defaults 0 2\n"
      "/dev/mapper/vg-root /e xfs defaults 0 2\n";
  file("/etc/fstab") = before;
  EXPECT_THAT(found(), ElementsAre("FstabUnstableName warning"));
  EXPECT_EQ(finding("FstabUnstableName").evidence.size(), 5u);
  EXPECT_TRUE(finding("FstabUnstableName").mendable);
  EXPECT_EQ(file("/etc/fstab"), before) << "a look changes nothing";

  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName note"));
  EXPECT_EQ(file("/etc/fstab"),
            "UUID=0b1e-52\t/  ext4 errors=remount-ro 0 1\n"
            "UUID=0b1e-52 /a ext4 defaults 0 2\n"
            "UUID=0b1e-52 /b ext4 defaults 0 2\n"
            "UUID=0b1e-52 /c ext4 defaults 0 2\n"
            "UUID=0b1e-52 /d ext4 defaults 0 2\n"
            "/dev/mapper/vg-root /e xfs defaults 0 2\n");
  EXPECT_EQ(ctx.summed_up, "1 mended, 0 findings");
  EXPECT_FALSE(guest().exists("/.autorelabel"));
  file("/etc/fstab") = before;
  file("/etc/selinux/config") = "SELINUX=enforcing\n";
  mended();
  EXPECT_TRUE(guest().exists("/.autorelabel")) << "what is written from outside has no label";
}

TEST_F(Fstab, CannotNameWhatHasNoName) {
  guest().call_results["vfs-uuid"] = "\n";
  file("/etc/fstab") = "/dev/sda1 / ext4 defaults 0 1\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning"));
  EXPECT_FALSE(finding("FstabUnstableName").mendable);
}

TEST_F(Fstab, KnowsThatAMachineMayHaveMoreDisks) {
  ctx.known_parts.push_back({"data", "disk1", nullptr});
  file("/etc/fstab") += "/dev/sdb1 /data xfs defaults 0 2\n";
  EXPECT_THAT(found(), ElementsAre("FstabForeignMount warning"));
  EXPECT_THAT(finding("FstabForeignMount").hint, HasSubstr("another disk of this machine may stay"));
}

TEST_F(Fstab, IsNotTheOnlyOneThatNamesTheRoot) {
  const std::string before =
      "  linux /boot/vmlinuz-6.1 root=/dev/sda1 ro quiet\n  linux /vmlinuz root=UUID=0b1e-52 ro\n"
      "# linux /x root=/dev/sda1\n  set myroot=/dev/sda1\n";
  file("/boot/grub/grub.cfg") = before;
  file("/etc/default/grub") = "GRUB_CMDLINE_LINUX=\"root=/dev/vda1\"\n";
  EXPECT_THAT(found(), ElementsAre("FstabUnstableName warning"));
  EXPECT_THAT(finding("FstabUnstableName").evidence,
              ElementsAre("/boot/grub/grub.cfg:1: linux /boot/vmlinuz-6.1 root=/dev/sda1 ro quiet",
                          "/etc/default/grub:1: GRUB_CMDLINE_LINUX=\"root=/dev/vda1\""));
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName note"));
  EXPECT_EQ(file("/etc/default/grub"), "GRUB_CMDLINE_LINUX=\"root=UUID=0b1e-52\"\n");
  EXPECT_EQ(file("/boot/grub/grub.cfg"),
            "  linux /boot/vmlinuz-6.1 root=UUID=0b1e-52 ro quiet\n" + before.substr(before.find('\n') + 1));

  file("/boot/grub/grub.cfg") = "  linux /boot/vmlinuz-6.1 root=/dev/mapper/vg-root root=/dev/sdb7\n";
  EXPECT_THAT(found(), ElementsAre());
  file("/boot/grub/grub.cfg") = "  linux /boot/vmlinuz-6.1 root=/dev/sdb7\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning"));
  EXPECT_FALSE(finding("FstabUnstableName").mendable) << "that is not this disk";
}

TEST_F(Fstab, IsReadLikeAStrangersFile) {
  file("/etc/fstab") = std::string("/dev/sda9999999999999999999999 / ext4\n/dev/sd / ext4\n/dev/sda-part / x\n") +
                       "/dev/mapper/- / x\n/dev/mapper/ / x\nUUID= / x\n\xff\xfe \x1b[2J x\n";
  EXPECT_EQ(found().size(), 1u);
  file("/etc/fstab").clear();
  for (int i = 0; i < 5000; ++i) file("/etc/fstab") += "nas:/x /mnt nfs\n";
  EXPECT_THAT(found(), ElementsAre("FstabForeignMount warning"));
  EXPECT_EQ(finding("FstabForeignMount").evidence.back(), "and 4980 more");
  file("/etc/fstab") = std::string(2u << 20, 'x');
  EXPECT_THAT(found(), ElementsAre());
  guest().files.erase("/etc/fstab");
  EXPECT_THAT(found(), ElementsAre());
}

}  // namespace
}  // namespace kiln::test
