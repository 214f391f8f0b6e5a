#include "disk/manifest.h"

#include <gtest/gtest.h>

#include "disk/fakes.h"
#include "disk/pump.h"
#include "support/disks.h"
#include "support/temp.h"

namespace kiln {
namespace {

const std::uint64_t MiB = 1 << 20;

PassResult write_manifest(const BlockReader& disk, const std::filesystem::path& file) {
  ManifestSink sink(file, disk.size());
  BlockSink* const sinks[] = {&sink};
  const PassResult result = pump(disk, sinks);
  sink.finish();
  EXPECT_EQ(sink.content(), result.content);
  return result;
}

TEST(Manifest, HoldsWhatThePassFound) {
  test::TempDir dir;
  const test::RuleDisk disk(40 * MiB + 100, {{3 * MiB, 5 * MiB + 1, true}, {40 * MiB, 100, true}});
  const PassResult result = write_manifest(disk, dir / "m");
  const Manifest manifest = Manifest::open(dir / "m");
  EXPECT_EQ(manifest.disk_size(), disk.size());
  EXPECT_EQ(manifest.content(), result.content);
  ASSERT_EQ(manifest.entries().size(), 5u * 16 + 1 + 1);
  EXPECT_EQ(manifest.entries().front().index, 48u);
  EXPECT_EQ(manifest.entries().back().index, 640u);
  std::vector<std::byte> chunk(chunk_size);
  disk.read(4 * MiB, chunk);
  EXPECT_EQ(manifest.at(64), sha256(chunk));
  EXPECT_TRUE(manifest.at(0).is_zero_chunk());
  EXPECT_TRUE(manifest.at(1'000'000).is_zero_chunk());
}

TEST(Manifest, OfAnEmptyDiskIsAHeader) {
  test::TempDir dir;
  write_manifest(test::RuleDisk(0, {}), dir / "none");
  EXPECT_EQ(Manifest::open(dir / "none").entries().size(), 0u);
  write_manifest(test::RuleDisk(MiB, {}), dir / "empty");
  EXPECT_EQ(std::filesystem::file_size(dir / "empty"), 64u);
  EXPECT_NE(Manifest::open(dir / "none").content(), Manifest::open(dir / "empty").content());
}

TEST(Manifest, NoticesEveryDamagedByteAndEveryCut) {
  test::TempDir dir;
  write_manifest(test::RuleDisk(MiB, {{0, 3 * chunk_size, true}}), dir / "m");
  const std::uint64_t size = std::filesystem::file_size(dir / "m");
  ASSERT_EQ(size, 64u + 3 * 40);
  for (std::uint64_t at = 0; at < size; ++at) {
    if (at >= 24 && at < 32) continue;  // reserved
    std::filesystem::copy_file(dir / "m", dir / "bad", std::filesystem::copy_options::overwrite_existing);
    test::flip_byte(dir / "bad", at, 1);
    EXPECT_THROW(Manifest::open(dir / "bad"), Error) << at;
  }
  for (std::uint64_t at = 0; at < size; at += 7) {
    std::filesystem::copy_file(dir / "m", dir / "bad", std::filesystem::copy_options::overwrite_existing);
    test::cut_file(dir / "bad", at);
    EXPECT_THROW(Manifest::open(dir / "bad"), Error) << at;
  }
}

TEST(Manifest, ADamagedOneSaysWhatToDo) {
  test::TempDir dir;
  write_text(dir / "m", "too short");
  try {
    Manifest::open(dir / "m");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), (dir / "m").string() + " is a damaged manifest");
    EXPECT_EQ(e.hint(), "remove it; it is made again when it is needed");
  }
}

TEST(ManifestSink, WithoutFinishLeavesNothing) {
  test::TempDir dir;
  { const ManifestSink sink(dir / "m", MiB); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace kiln
