// Each disk needs an appliance of its own.
#include <gmock/gmock.h>

#include <sstream>
#include <utility>

#include "guest/stage_context.h"
#include "guest/tiny_guest.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::HasSubstr;

/// Blocks (4 KiB or 1 KiB) that the file system says it has, times their size.
std::uint64_t file_system_size(const std::filesystem::path& disk, test::Layout layout) {
  const std::string stats = test::debugfs(disk, "stats -h", layout);
  const auto number = [&](const std::string& name) {
    const std::size_t at = stats.find(name);
    return at == std::string::npos ? 0 : std::stoull(stats.substr(at + name.size()));
  };
  return number("Block count:") * number("Block size:");
}

void grow(const test::TempDir& dir, test::Layout layout, std::string& summary) {
  test::make_tiny_root(dir / "root");
  test::make_tiny_disk(dir / "base.qcow2", dir / "root", 64u << 20, layout);
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  test::StageContext context(dir / "a.qcow2", dir.path());
  context.run(test::load_stage("resize"), {{"size", Value{std::string("256M")}}});
  EXPECT_EQ(context.disk_size(), 256u << 20);
  context.close();
  summary = context.summed_up;
  EXPECT_GT(file_system_size(dir / "a.qcow2", layout), 250u << 20);
  EXPECT_EQ(test::debugfs(dir / "a.qcow2", "cat /etc/hostname", layout), "tiny\n");
  test::qemu_to_raw(dir / "a.qcow2", "qcow2", dir / "a.raw");
}

TEST(Resize, GrowsTheLastPartitionOfAGpt) {
  const test::TempDir dir;
  std::string summary;
  grow(dir, test::Layout::gpt, summary);
  EXPECT_EQ(summary, "64.0 MiB → 256.0 MiB, partition 1 and ext4 on /dev/sda1");
  const test::Outcome table = test::run({"sgdisk", "--verify", "--print", dir / "a.raw"});
  EXPECT_EQ(table.status, 0);
  EXPECT_THAT(table.output, HasSubstr("No problems found"));
  EXPECT_THAT(table.output, HasSubstr("254.0 MiB   8300"));
}

TEST(Resize, GrowsAnMbrPartition) {
  const test::TempDir dir;
  std::string summary;
  grow(dir, test::Layout::mbr, summary);
  EXPECT_EQ(summary, "64.0 MiB → 256.0 MiB, partition 1 and ext4 on /dev/sda1");
  EXPECT_THAT(test::run({"sfdisk", "--dump", dir / "a.raw"}).output, HasSubstr("size=      522240, type=83, bootable"));
}

TEST(Resize, GrowsAFileSystemWithoutPartitions) {
  const test::TempDir dir;
  std::string summary;
  grow(dir, test::Layout::whole_disk, summary);
  EXPECT_EQ(summary, "64.0 MiB → 256.0 MiB, ext4 on /dev/sda");
}

/// Disks that only an appliance can make: the tiny guest on xfs on LVM, and on btrfs.
void make_other_disks(const test::TempDir& dir, const std::filesystem::path& lvm, const std::filesystem::path& btrfs) {
  test::make_tiny_root(dir / "root");
  std::filesystem::remove(dir / "root/etc/fstab");  // it names a partition
  for (const auto& disk : {lvm, btrfs}) test::qemu_img({"create", "-q", "-f", "qcow2", disk.string(), "400M"});
  const test::Outcome made = test::run(
      {"sh", "-c",
       "tar -C \"$1\" --owner=0 --group=0 -cf \"$1.tar\" . && LIBGUESTFS_BACKEND=direct "
       "LIBGUESTFS_BACKEND_SETTINGS=force_tcg guestfish --format=qcow2 -a \"$2\" --format=qcow2 -a \"$3\" run"
       " : part-disk /dev/sda gpt : pvcreate /dev/sda1 : vgcreate tiny /dev/sda1 : lvcreate-free root tiny 100"
       " : mkfs xfs /dev/tiny/root : mount /dev/tiny/root / : tar-in \"$1.tar\" / : umount-all"
       " : part-disk /dev/sdb gpt : mkfs btrfs /dev/sdb1 : mount /dev/sdb1 / : tar-in \"$1.tar\" / : umount-all",
       "sh", (dir / "root").string(), lvm.string(), btrfs.string()});
  ASSERT_EQ(made.status, 0) << made.output;
}

/// Grows a disk to 800 MiB. What the stage said, and how many bytes its root then has.
std::pair<std::string, std::uint64_t> grown(const test::TempDir& dir, const std::filesystem::path& base) {
  test::make_overlay(dir / "a.qcow2", base);
  test::StageContext context(dir / "a.qcow2", dir.path());
  context.run(test::load_stage("resize"), {{"size", Value{std::string("800M")}}});
  std::uint64_t blocks = 0, block_size = 0;
  std::istringstream(context.guest().run("busybox stat -f -c '%b %S' /")) >> blocks >> block_size;
  EXPECT_EQ(context.guest().read("/etc/hostname", 100), "tiny\n");
  context.close();
  return {context.summed_up, blocks * block_size};
}

TEST(Resize, GrowsXfsOnLvmAndBtrfs) {
  const test::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(make_other_disks(dir, dir / "lvm.qcow2", dir / "btrfs.qcow2"));
  const auto [on_lvm, xfs_bytes] = grown(dir, dir / "lvm.qcow2");
  EXPECT_EQ(on_lvm, "400.0 MiB → 800.0 MiB, partition 1 and xfs on /dev/tiny/root");
  EXPECT_GT(xfs_bytes, 700u << 20);
  const auto [plain, btrfs_bytes] = grown(dir, dir / "btrfs.qcow2");
  EXPECT_EQ(plain, "400.0 MiB → 800.0 MiB, partition 1 and btrfs on /dev/sda1");
  EXPECT_GT(btrfs_bytes, 700u << 20);
}

}  // namespace
}  // namespace kiln
