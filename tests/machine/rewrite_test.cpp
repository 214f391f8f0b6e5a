// The disk of an instance that is shut off is rewritten by a real qemu-storage-daemon; qemu-img says what is in it.
#include "machine/rewrite.h"

#include <gmock/gmock.h>

#include <fstream>

#include "disk/pump.h"
#include "machine/disk_server.h"
#include "machine/qemu.h"
#include "support/disks.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using test::Piece;
using testing::HasSubstr;
constexpr std::uint64_t mib = 1u << 20;

class Rewrite : public testing::Test {
 protected:
  Rewrite() { test::write_raw(dir_ / "base.raw", {"base", 8 * mib, {{0, 2 * mib}, {5 * mib, mib}}}, 1); }
  ~Rewrite() override {
    for (const Instance& i : instances_.list()) instances_.remove(i.name, true);
  }

  /// An instance that was never started, whose guest wrote: its disk is as damaged.raw.
  Instance damaged(std::uint64_t size = 8 * mib) {
    LaunchSpec spec;
    spec.name = "one";
    spec.stopped = true;
    spec.disk_size = size;
    instances_.launch(
        {.disk = {dir_ / "base.raw", "raw"}, .image_id = "i", .image = "a:1", .name = "a", .size = 8 * mib}, spec,
        {"tcg", ""});
    Instance instance = instances_.get("one");
    test::run({"qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 100k", "-c", "write -z 5M 64k", "-c",
               "write -P 8 7M 192k", "-c", "write -P 7 " + std::to_string(size - 512) + " 512", disk_of(instance)});
    test::qemu_to_raw(disk_of(instance), "qcow2", dir_ / "damaged.raw");
    return instance;
  }
  static std::filesystem::path disk_of(const Instance& instance) { return instance.folder / machine_file::disk; }
  Manifest manifest_of(const std::filesystem::path& raw) const {
    const test::RawDisk disk(raw);
    const auto file = raw.string() + ".manifest";
    ManifestSink sink(file, disk.size());
    BlockSink* const sinks[] = {&sink};
    pump(disk, sinks);
    sink.finish();
    return Manifest::open(file);
  }
  std::vector<ChunkRun> to(const std::filesystem::path& wanted) const {
    return difference(manifest_of(dir_ / "damaged.raw"), manifest_of(wanted));
  }
  /// By qemu-img; and the daemon has left nothing but a sound disk.
  void expect_is(const Instance& instance, const std::filesystem::path& raw) const {
    EXPECT_EQ(test::run({"qemu-img", "compare", "-f", "qcow2", "-F", "raw", disk_of(instance), raw}).status, 0);
    EXPECT_EQ(test::run({"qemu-img", "check", "-f", "qcow2", disk_of(instance)}).status, 0);
    for (const char* left : {"disk-nbd.sock", "disk-qmp.sock", "disk-server.log"})
      EXPECT_FALSE(std::filesystem::exists(instance.folder / left)) << left;
  }

  test::TempDir dir_;
  Instances instances_{dir_.path()};
};

TEST_F(Rewrite, OnlyWhatDiffersIsWritten) {
  const Instance instance = damaged();
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
  rewrite_disk(instance, 0, test::RawDisk(dir_ / "base.raw"), to(dir_ / "base.raw"), {},
               [&](std::uint64_t done, std::uint64_t total) { told.emplace_back(done, total); });
  expect_is(instance, dir_ / "base.raw");
  ASSERT_FALSE(told.empty());
  // 1 MiB: two chunks; 5 MiB: one; 7 MiB: three; the last one
  EXPECT_EQ(told.back(), std::pair(7 * chunk_size, 7 * chunk_size));
}

TEST_F(Rewrite, NothingToWriteIsFine) {
  const Instance instance = damaged();
  rewrite_disk(instance, 0, test::RawDisk(dir_ / "damaged.raw"), to(dir_ / "damaged.raw"), {});
  expect_is(instance, dir_ / "damaged.raw");
}

TEST_F(Rewrite, ASmallerDiskLeavesZerosBehindItsEnd) {
  const Instance instance = damaged(8 * mib + 512);
  test::write_raw(dir_ / "small.raw", {"small", 5 * mib + 1024, {{4 * mib, mib + 1024}}}, 3);
  rewrite_disk(instance, 0, test::RawDisk(dir_ / "small.raw"), to(dir_ / "small.raw"), {});
  std::filesystem::resize_file(dir_ / "small.raw", 8 * mib + 512);
  expect_is(instance, dir_ / "small.raw");
}

TEST_F(Rewrite, WhenItIsStoppedDoingItAgainEndsIt) {
  const Instance instance = damaged();
  test::write_raw(dir_ / "other.raw", {"other", 8 * mib, {{0, 8 * mib}}}, 4);
  std::stop_source stop;
  const auto runs = to(dir_ / "other.raw");
  EXPECT_THROW(rewrite_disk(instance, 0, test::RawDisk(dir_ / "other.raw"), runs, stop.get_token(),
                            [&](std::uint64_t done, std::uint64_t) {
                              if (done >= 2 * mib) stop.request_stop();
                            }),
               Error);
  EXPECT_NE(
      test::run({"qemu-img", "compare", "-f", "qcow2", "-F", "raw", disk_of(instance), dir_ / "other.raw"}).status, 0);
  rewrite_disk(instance, 0, test::RawDisk(dir_ / "other.raw"), runs, {});
  expect_is(instance, dir_ / "other.raw");
}

TEST_F(Rewrite, WhoHasTheDiskOpenIsNotDisturbed) {
  const Instance instance = damaged();
  {
    const DiskServer first(instance, 0);
    try {
      rewrite_disk(instance, 0, test::RawDisk(dir_ / "base.raw"), to(dir_ / "base.raw"), {});
      FAIL() << "two have it open";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "another kiln works on the disks of \"one\" right now");
    }
    EXPECT_TRUE(std::filesystem::exists(first.nbd_socket()));
    std::filesystem::remove(instance.folder / "disk-server.lock");  // as if it were no kiln that has the disk open
    try {
      rewrite_disk(instance, 0, test::RawDisk(dir_ / "base.raw"), to(dir_ / "base.raw"), {});
      FAIL() << "two have it open";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "the disk of the instance cannot be opened");
      EXPECT_THAT(error.evidence(), testing::Contains(HasSubstr("lock")));
    }
  }
  expect_is(instance, dir_ / "damaged.raw");
}

}  // namespace
}  // namespace kiln
