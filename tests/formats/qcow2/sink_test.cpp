// The writer as a sink: the same bytes on any number of threads, nothing left behind, limits said in words.

#include <gtest/gtest.h>

#include "disk/pump.h"
#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, TiB = 1024 * 1024 * MiB;

class Qcow2Sink : public testing::Test {
 protected:
  static Table options(const char* compression, std::uint64_t cluster_size, std::int64_t level = 0) {
    return {{"compression", Value{std::string(compression)}},
            {"cluster_size", Value{Bytes{cluster_size}}},
            {"level", Value{level}}};
  }
  void pump_to(const std::filesystem::path& file, const BlockReader& disk, const Table& how, unsigned workers) {
    const auto sink = format_.create_with(file, disk.size(), how);
    BlockSink* const sinks[] = {sink.get()};
    pump(disk, sinks, {.workers = workers});
    sink->finish();
  }
  void expect_sound_and_equal(const std::filesystem::path& file, const std::filesystem::path& raw) {
    EXPECT_NO_THROW(test::qemu_img({"check", "-q", "-f", "qcow2", file.string()}));
    EXPECT_NO_THROW(test::qemu_img({"compare", "-q", "-f", "qcow2", "-F", "raw", file.string(), raw.string()}));
  }
  std::string refusal(std::uint64_t size, const Table& how) {
    try {
      format_.create_with(dir_ / "never", size, how);
    } catch (const Error& e) {
      EXPECT_EQ(e.failure(), Failure::invalid);
      EXPECT_FALSE(e.hint().empty());
      EXPECT_FALSE(std::filesystem::exists(dir_ / "never"));
      return e.what();
    }
    return "accepted";
  }

  test::TempDir dir_;
  const Format& format_ = test::load_format("qcow2");
};

TEST_F(Qcow2Sink, WritesTheSameBytesOnAnyNumberOfThreads) {
  const auto raw = dir_ / "disk.raw";
  test::write_raw(raw, {"mixed",
                        12 * MiB + 512,
                        {{0, 2 * MiB, test::Piece::Kind::text},
                         {3 * MiB + 100, 2 * MiB},
                         {7 * MiB, MiB, test::Piece::Kind::text},
                         {12 * MiB, 512}}});
  const test::RawDisk disk(raw);
  for (const auto& how : {options("none", 64 * KiB), options("zstd", 64 * KiB), options("zlib", 4 * KiB, 1),
                          options("none", 512), options("zstd", 2 * MiB, 1)}) {
    pump_to(dir_ / "one", disk, how, 1);
    expect_sound_and_equal(dir_ / "one", raw);
    for (const unsigned workers : {2u, 4u}) {
      pump_to(dir_ / "many", disk, how, workers);
      EXPECT_TRUE(test::same_files(dir_ / "one", dir_ / "many"));
      std::filesystem::remove(dir_ / "many");
    }
    std::filesystem::remove(dir_ / "one");
  }
}

TEST_F(Qcow2Sink, TakesADiskOfTebibytes) {
  const auto raw = dir_ / "disk.raw", file = dir_ / "disk.qcow2";
  test::write_raw(raw, {"far", 8 * TiB, {{0, 512}, {3 * TiB + 512, 70 * KiB}, {8 * TiB - 512, 512}}});
  pump_to(file, test::RawDisk(raw), options("none", 64 * KiB), 2);
  expect_sound_and_equal(file, raw);
  EXPECT_LT(std::filesystem::file_size(file), 3 * MiB);
  const auto reader = format_.open(file);
  EXPECT_TRUE(test::same_as_raw(*reader, raw));
}

TEST_F(Qcow2Sink, AllocatesOnlyWhatHoldsContent) {
  const auto raw = dir_ / "disk.raw", file = dir_ / "disk.qcow2";
  test::write_raw(raw, {"zeros", 8 * MiB, {{0, MiB, test::Piece::Kind::zeros}, {MiB, 512}, {MiB + 4 * KiB, 512}}});
  pump_to(file, test::RawDisk(raw), options("none", 512), 2);
  EXPECT_EQ(format_.inspect(file).details.at("data"), "1.0 KiB");  // found within one chunk
}

TEST_F(Qcow2Sink, RoundsAnOddSizeUpBecauseQemuWouldCutItOff) {
  const auto raw = dir_ / "disk.raw", file = dir_ / "disk.qcow2";
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    if (shape.size % 512 == 0) continue;
    SCOPED_TRACE(shape.name);
    test::write_raw(raw, shape);
    pump_to(file, test::RawDisk(raw), {}, 2);
    expect_sound_and_equal(file, raw);
    std::filesystem::resize_file(raw, (shape.size + 511) / 512 * 512);
    EXPECT_TRUE(test::same_as_raw(*format_.open(file), raw));
    std::filesystem::remove(raw);
    std::filesystem::remove(file);
  }
}

TEST_F(Qcow2Sink, TakesADiskWithoutBytes) {
  const auto file = dir_ / "disk.qcow2";
  format_.create_with(file, 0, {})->finish();
  EXPECT_NO_THROW(test::qemu_img({"check", "-q", "-f", "qcow2", file.string()}));
  EXPECT_EQ(format_.open(file)->size(), 0u);
}

TEST_F(Qcow2Sink, WithoutFinishLeavesNothing) {
  const auto raw = dir_ / "disk.raw";
  test::write_raw(raw, {"full", MiB, {{0, MiB}}});
  test::copy_disk(test::RawDisk(raw), *format_.create_with(dir_ / "half", MiB, {}), false);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "half"));
}

TEST_F(Qcow2Sink, DoesNotTouchAFileThatExists) {
  test::write_raw(dir_ / "mine", {"", 512, {{0, 512}}});
  EXPECT_THROW(format_.create_with(dir_ / "mine", MiB, {}), Error);
  EXPECT_EQ(std::filesystem::file_size(dir_ / "mine"), 512u);
}

TEST_F(Qcow2Sink, SaysWhatItCannotWrite) {
  EXPECT_EQ(refusal(MiB, options("none", 256)), "cluster_size 256 is not a power of two from 512 to 2M");
  EXPECT_EQ(refusal(MiB, options("none", 4 * MiB)), "cluster_size 4194304 is not a power of two from 512 to 2M");
  EXPECT_EQ(refusal(MiB, options("none", 65537)), "cluster_size 65537 is not a power of two from 512 to 2M");
  EXPECT_EQ(refusal(MiB, options("zlib", 64 * KiB, 13)), "level 13 does not fit compression \"zlib\"");
  EXPECT_EQ(refusal(MiB, options("none", 64 * KiB, 3)), "level 3 does not fit compression \"none\"");
  EXPECT_EQ(refusal(TiB, options("none", 512)), "a disk of 1.0 TiB is too large for qcow2 clusters of 512 B");
  EXPECT_EQ(refusal(UINT64_MAX, options("none", 2 * MiB)),
            "a disk of 18446744073709551615 bytes is too large for qcow2");
}

}  // namespace
}  // namespace kiln
