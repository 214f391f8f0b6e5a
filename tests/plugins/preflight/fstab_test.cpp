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
  guest().devices = {"/dev/sda ext4", "/dev/sda1 ext4", "/dev/sda5 swap", "/dev/vg/root xfs"};
  const std::string before =
      "/dev/sda1\t/  ext4 errors=remount-ro 0 1\n"
      "/dev/sda5 none swap sw 0 0\n"
      "/dev/mapper/vg-root /e xfs defaults 0 2\n";
  file("/etc/fstab") = before;
  EXPECT_THAT(found(), ElementsAre("FstabUnstableName warning"));
  EXPECT_EQ(finding("FstabUnstableName").evidence.size(), 2u);
  EXPECT_TRUE(finding("FstabUnstableName").mendable);
  EXPECT_EQ(file("/etc/fstab"), before) << "a look changes nothing";

  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName note"));
  EXPECT_EQ(file("/etc/fstab"),
            "UUID=0b1e-52\t/  ext4 errors=remount-ro 0 1\n"
            "UUID=0b1e-52 none swap sw 0 0\n"
            "/dev/mapper/vg-root /e xfs defaults 0 2\n");
  EXPECT_EQ(ctx.summed_up, "1 mended, 0 findings");
  EXPECT_FALSE(guest().exists("/.autorelabel"));
  file("/etc/fstab") = before;
  file("/etc/selinux/config") = "SELINUX=enforcing\n";
  mended();
  EXPECT_TRUE(guest().exists("/.autorelabel")) << "what is written from outside has no label";
  for (const char* disk : {"/dev/vda", "/dev/xvda", "/dev/nvme0n1p", "/dev/mmcblk0p"}) {
    file("/etc/fstab") = std::string(disk) + "1 / ext4 defaults 0 1\n" + disk + "5 none swap sw\n";
    EXPECT_THAT(mended(), ElementsAre("FstabUnstableName note")) << disk;
  }
}

TEST_F(Fstab, TakesNoOtherDiskForThisOne) {
  ctx.known_parts.push_back({"data", "disk1", nullptr});
  const std::string others =
      "/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:1:0-part1 /data ext4 defaults 0 2\n"
      "/dev/disk/by-id/scsi-0DO_Volume_data-part1 /mnt/vol ext4 defaults 0 2\n";
  const std::string srv = "/dev/vda1 /srv ext4 defaults 0 2\n";
  for (const std::string& line : {others, srv, "UUID=0b1e-52 / ext4\n" + srv, "/dev/sda1 / ext4 defaults 0 1\n" + srv,
                                  std::string("/dev/sda9 / ext4\n") + srv}) {
    file("/etc/fstab") = line;
    mended();
    EXPECT_EQ(file("/etc/fstab"), line);
    EXPECT_FALSE(finding("FstabUnstableName").mendable) << line;
    EXPECT_FALSE(finding("FstabUnstableName").evidence.empty()) << line;
  }
  ctx.known_parts.clear();
  file("/etc/fstab") = "UUID=0b1e-52 / ext4 defaults 0 1\n/dev/sda1 /srv ext4 defaults 0 2\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning")) << "another line mounts that already";
  file("/etc/fstab") = "/dev/sda1 none swap sw 0 0\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning")) << "that is no swap space";
  guest().facts["os.root"] = "/dev/vg/root";
  file("/etc/fstab") = "/dev/sda1 / ext4 defaults 0 1\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning")) << "the root is elsewhere";
}

TEST_F(Fstab, KnowsASubvolumeOfBtrfs) {
  guest().devices = {"/dev/sda1 btrfs", "btrfsvol:/dev/sda1/@ btrfs"};
  guest().facts["os.root"] = "btrfsvol:/dev/sda1/@";
  file("/etc/fstab") = "/dev/sda1 / btrfs subvol=@ 0 1\nUUID=0b1e-52 /home btrfs subvol=@home 0 2\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName note"));
}

TEST_F(Fstab, KnowsWhatStays) {
  file("/etc/fstab") =
      "/dev/disk/by-id/dm-uuid-LVM-0VQ1 / ext4 defaults 0 1\n"
      "/dev/disk/by-id/dm-name-ubuntu--vg-ubuntu--lv /a ext4 defaults 0 1\n"
      "/dev/disk/by-id/md-uuid-1:2 /b ext4 defaults 0 1\n"
      "/dev/disk/by-id/lvm-pv-uuid-1 /c ext4 defaults 0 1\n";
  EXPECT_THAT(found(), ElementsAre());
  file("/etc/fstab") = "/dev/disk/by-id/wwn-0x5000 /d ext4 defaults 0 1\n";
  EXPECT_THAT(found(), ElementsAre("FstabUnstableName warning")) << "that it is elsewhere cannot be said";
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
  file("/boot/grub/grub.cfg") = "  linux /vmlinuz root=/dev/sda1\n  linux /other root=/dev/sdb2\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning")) << "which of the two is not said";
  guest().devices.push_back("/dev/sda2 ext4");
  file("/boot/grub/grub.cfg") = "  linux /vmlinuz root=/dev/sda2\n";
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning")) << "that is not the root";
}

TEST_F(Fstab, FindsTheRootThatGrubKeepsElsewhere) {
  file("/boot/efi/EFI/redhat/grub.cfg") = "  linuxefi /vmlinuz root=/dev/sda1 ro\n";
  std::string& environment = file("/boot/grub2/grubenv");
  environment = "# GRUB Environment Block\nsaved_entry=a\nkernelopts=root=/dev/sda1 ro\n";
  environment.resize(1024, '#');
  EXPECT_THAT(found(), ElementsAre("FstabUnstableName warning"));
  EXPECT_EQ(finding("FstabUnstableName").evidence.size(), 2u);
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName note"));
  EXPECT_EQ(file("/boot/efi/EFI/redhat/grub.cfg"), "  linuxefi /vmlinuz root=UUID=0b1e-52 ro\n");
  EXPECT_THAT(environment,
              testing::StartsWith("# GRUB Environment Block\nsaved_entry=a\nkernelopts=root=UUID=0b1e-52 ro\n##"));
  EXPECT_EQ(environment.size(), 1024u);
  environment = "kernelopts=root=/dev/sda1 " + std::string(995, 'x') + "\n";
  const std::string full = environment;
  EXPECT_THAT(mended(), ElementsAre("FstabUnstableName warning"));
  EXPECT_EQ(environment, full) << "it has no room";
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
