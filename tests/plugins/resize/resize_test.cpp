// Each disk needs an appliance of its own.
#include <gmock/gmock.h>

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

}  // namespace
}  // namespace kiln
