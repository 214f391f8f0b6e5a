// A log that was not replayed: kiln reads what QEMU reads after it has replayed it, and leaves the file as it is.

#include <gtest/gtest.h>

#include "formats/vhdx/vhdx_files.h"

namespace kiln {
namespace {

using test::blocks_at;
using test::log_at;
using test::LogEntry;
using test::metadata_at;
using test::sectors_of;
using test::table_at;
using test::use_log;
using test::vhdx;
using test::why_not;
using test::write_entry;

const std::uint64_t KiB = 1 << 10, MiB = 1 << 20;
using Content = std::vector<std::byte>;

class VhdxLog : public testing::Test {
 protected:
  // Blocks 0 and 2 of the disk's four from 4 MiB on.
  VhdxLog() {
    test::write_raw(dir / "raw", {"disk", 4 * MiB, {{0, MiB}, {2 * MiB, MiB}}});
    test::write_vhdx(dir / "raw", disk);
  }

  // A sector of the block table that swaps the two blocks of the disk.
  Content swapped() const {
    Content table = sectors_of(disk, table_at);
    put_le<std::uint64_t>(table, 0, 5 * MiB | 6);
    put_le<std::uint64_t>(table, 16, 4 * MiB | 6);
    return table;
  }
  static Content filled(int value) { return Content(4096, static_cast<std::byte>(value)); }

  // The disk as QEMU leaves it on a copy of the file, which it has to write to.
  std::filesystem::path replayed_by_qemu() const {
    std::filesystem::copy_file(disk, dir / "copy");
    test::qemu_img({"check", "-f", "vhdx", "-r", "all", (dir / "copy").string()});
    return test::as_qemu_reads(dir / "copy");
  }
  void raw_is(std::uint64_t at, const Content& bytes) const { File::open_write(dir / "raw").write_at(at, bytes); }
  testing::AssertionResult right() const { return test::same_as_raw(*vhdx().open(disk), dir / "raw"); }
  static std::string unreplayable(int whole) {
    return "Damaged: disk has a log that cannot be replayed; open it once with the program that made it, or get a "
           "sound "
           "copy of the file; VHDX log, bytes 1048576..2097151: the header says that it is in use, but it holds no "
           "whole "
           "sequence of entries (" +
           std::to_string(whole) + " whole entries)";
  }
  static std::string bad_entry(const std::string& fact) {
    return "Damaged: disk is damaged; get a sound copy of the file; VHDX log, " + fact;
  }

  test::TempDir dir;
  std::filesystem::path disk = dir / "disk";
};

TEST_F(VhdxLog, IsReplayedAsQemuDoesAndTheFileIsLeftAlone) {
  const std::uint64_t second = write_entry(disk, {.sequence = 5, .data = {{table_at, swapped()}}});
  const std::uint64_t third = write_entry(
      disk,
      {.sequence = 6, .at = second, .zeros = {{blocks_at, 64 * KiB}}, .data = {{blocks_at + 128 * KiB, filled(1)}}});
  const std::uint64_t torn =
      write_entry(disk, {.sequence = 7,
                         .at = third,
                         .zeros = {{blocks_at + 128 * KiB, 4 * KiB}},
                         .data = {{blocks_at + 4 * KiB, filled(2)}, {blocks_at + 8 * KiB, filled(3)}}});
  write_entry(disk, {.sequence = 8, .at = torn, .zeros = {{blocks_at, MiB}}, .data = {{blocks_at, filled(9)}}});
  test::flip_byte(disk, log_at + torn + 5000);
  use_log(disk);
  const std::string before = hash_file(disk);
  EXPECT_TRUE(test::same_as_raw(*vhdx().open(disk), replayed_by_qemu()));
  EXPECT_EQ(hash_file(disk), before);
  const Inspection found = vhdx().inspect(disk);
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].code, "LogReplayed");
  EXPECT_EQ(found.findings[0].severity, Severity::note);
  EXPECT_EQ(found.findings[0].what, "the log was replayed");
  EXPECT_EQ(found.details.at("log"), "replayed");
}

// The same, told by hand: QEMU starts where the log does, the specification where the last entry says.
TEST_F(VhdxLog, StartsAtTheTailOfItsLastEntry) {
  const std::uint64_t second = write_entry(disk, {.sequence = 5, .data = {{blocks_at, filled(1)}}});
  const std::uint64_t third = write_entry(disk, {.sequence = 6, .at = second, .data = {{blocks_at + 4096, filled(2)}}});
  write_entry(disk, {.sequence = 7, .at = third, .tail = second, .zeros = {{blocks_at + 8192, 4096}}});
  use_log(disk);
  raw_is(4096, filled(2));
  raw_is(8192, filled(0));
  EXPECT_TRUE(right());
  EXPECT_EQ(vhdx().inspect(disk).findings[0].evidence[0],
            "VHDX log: entries 6 to 7, 1 sectors of 4 KiB, 4096 bytes of zeros");
}

TEST_F(VhdxLog, GoesOnAtItsStart) {
  const std::uint64_t begin = MiB - 8192;  // two of the first entry's five sectors
  const std::uint64_t second = write_entry(disk, {.sequence = 41,
                                                  .at = begin,
                                                  .tail = begin,
                                                  .data = {{blocks_at, filled(1)},
                                                           {blocks_at + 4096, filled(2)},
                                                           {blocks_at + 8192, filled(3)},
                                                           {blocks_at + 12288, filled(4)}}});
  ASSERT_EQ(second, 3u * 4096);
  write_entry(disk, {.sequence = 42, .at = second, .tail = begin, .data = {{blocks_at + 4096, filled(5)}}});
  use_log(disk);
  const int values[] = {1, 5, 3, 4};
  for (std::uint64_t i = 0; i < 4; ++i) raw_is(i * 4096, filled(values[i]));
  EXPECT_TRUE(right());
}

TEST_F(VhdxLog, OfAnotherTimeIsNotTaken) {
  const std::uint64_t second = write_entry(disk, {.sequence = 3, .data = {{blocks_at, filled(1)}}});
  write_entry(disk, {.sequence = 4, .at = second, .data = {{blocks_at + 4096, filled(2)}}}, 99);
  write_entry(disk, {.sequence = 90, .at = 512 * KiB, .tail = 512 * KiB, .data = {{blocks_at + 8192, filled(3)}}}, 99);
  use_log(disk);
  raw_is(0, filled(1));
  EXPECT_TRUE(right());
}

TEST_F(VhdxLog, TheSequenceWithTheGreatestNumberIsActive) {
  write_entry(disk, {.sequence = 30, .data = {{blocks_at, filled(1)}}});
  write_entry(disk, {.sequence = 50, .at = 256 * KiB, .tail = 256 * KiB, .data = {{blocks_at, filled(2)}}});
  write_entry(disk, {.sequence = 40, .at = 512 * KiB, .tail = 512 * KiB, .data = {{blocks_at, filled(3)}}});
  write_entry(disk, {.sequence = 60, .at = 768 * KiB, .tail = 0, .data = {{blocks_at, filled(4)}}});  // begins nowhere
  use_log(disk);
  raw_is(0, filled(2));
  EXPECT_TRUE(right());
}

TEST_F(VhdxLog, IsReplayedBeforeTablesAndMetadataAreRead) {
  LogEntry entry{.sequence = 1};
  for (const std::uint64_t at : {192 * KiB, 256 * KiB, metadata_at, metadata_at + 64 * KiB, table_at})
    for (std::uint64_t i = 0; i < (at < MiB ? 64 * KiB : 4 * KiB); i += 4096)
      entry.data.push_back({at + i, sectors_of(disk, at + i)});
  write_entry(disk, entry);
  use_log(disk);
  for (const auto& [at, bytes] : entry.data) File::open_write(disk).write_at(at, Content(4096));
  EXPECT_TRUE(right());
  EXPECT_TRUE(test::same_files(replayed_by_qemu(), dir / "raw"));
}

TEST_F(VhdxLog, LaterEntriesLieOverEarlierOnes) {
  const std::uint64_t second =
      write_entry(disk, {.sequence = 1, .zeros = {{blocks_at, 32 * KiB}, {blocks_at + 64 * KiB, 32 * KiB}}});
  const std::uint64_t third = write_entry(
      disk, {.sequence = 2, .at = second, .data = {{blocks_at + 8192, filled(1)}, {blocks_at + 16384, filled(2)}}});
  write_entry(disk, {.sequence = 3,
                     .at = third,
                     .zeros = {{blocks_at + 16384, 48 * KiB}, {blocks_at + 512 * KiB, 0}},
                     .data = {{blocks_at + 20480, filled(3)}}});
  use_log(disk);
  EXPECT_TRUE(test::same_as_raw(*vhdx().open(disk), replayed_by_qemu()));
  Content seen(96 * KiB);
  vhdx().open(disk)->read(0, seen);
  EXPECT_EQ(seen[8192], std::byte{1});
  EXPECT_EQ(seen[16384], std::byte{0});
  EXPECT_EQ(seen[20480], std::byte{3});
}

TEST_F(VhdxLog, MakesTheFileLongerInMemory) {
  const std::uint64_t size = std::filesystem::file_size(disk);
  Content table = sectors_of(disk, table_at);
  put_le<std::uint64_t>(table, 8, size | 6);  // the disk's second block comes to lie behind the file's end
  write_entry(disk, {.sequence = 1, .data = {{table_at, table}, {size + 8192, filled(1)}}, .last_size = size + MiB});
  use_log(disk);
  raw_is(MiB + 8192, filled(1));
  EXPECT_TRUE(right());
  EXPECT_EQ(std::filesystem::file_size(disk), size);
}

TEST_F(VhdxLog, ThatCannotBeReplayedIsRefused) {
  use_log(disk);
  EXPECT_EQ(why_not(disk), unreplayable(0)) << "nothing is in it";
  write_entry(disk, {.sequence = 5, .data = {{blocks_at, filled(1)}}});
  EXPECT_EQ(why_not(disk), "opened");
  for (const unsigned at : {0u, 9u, 13u, 20u, 24u, 64u, 70u, 80u, 90u, 4096u, 4100u, 6000u, 8191u}) {
    test::flip_byte(disk, log_at + at);
    EXPECT_EQ(why_not(disk), unreplayable(0)) << at;
    test::flip_byte(disk, log_at + at);
  }
  // Whole, but what it begins with is gone.
  write_entry(disk, {.sequence = 6, .at = 8192, .tail = 4096, .data = {{blocks_at, filled(1)}}});
  EXPECT_EQ(why_not(disk), unreplayable(2));
}

TEST_F(VhdxLog, OfAFileThatIsShorterThanItWasIsTruncated) {
  write_entry(disk, {.sequence = 5, .data = {{blocks_at, filled(1)}}, .flushed_size = 7 * MiB, .last_size = 7 * MiB});
  use_log(disk);
  EXPECT_EQ(why_not(disk),
            "Truncated: disk is truncated; get a complete copy of the file; VHDX log, entry 5: the file ends at byte "
            "7340032, the file at 6291456");
}

TEST_F(VhdxLog, ThatWritesWhereItMustNotIsRefused) {
  use_log(disk);
  const auto why = [&](std::uint64_t at, std::uint64_t length, std::uint64_t last_size = 0) {
    write_entry(disk, {.sequence = 5, .zeros = {{at, length}}, .last_size = last_size});
    return why_not(disk);
  };
  const auto entry = [](std::uint64_t at, std::uint64_t length, const std::string& where) {
    return bad_entry("entry 5 at byte 1048576: it writes " + std::to_string(length) + " bytes at byte " +
                     std::to_string(at) + where);
  };
  const std::string past = ", past the file's end", over = ", over a header or the log";
  EXPECT_EQ(why(6 * MiB, 4096), entry(6 * MiB, 4096, past));
  EXPECT_EQ(why(5 * MiB, std::uint64_t{1} << 63), entry(5 * MiB, std::uint64_t{1} << 63, past));
  EXPECT_EQ(why(UINT64_MAX - 4095, 4096), entry(UINT64_MAX - 4095, 4096, past));
  EXPECT_EQ(why(64 * KiB, 4096), entry(64 * KiB, 4096, over));
  EXPECT_EQ(why(192 * KiB, MiB), entry(192 * KiB, MiB, over));
  EXPECT_EQ(why(5 * MiB, 4096, std::uint64_t{1} << 62),
            bad_entry("entry 5 at byte 1048576: a file of 4611686018427387904 bytes"));
}

// Entries that lie on one another would be checked again and again.
TEST_F(VhdxLog, TakesNoTimeHoweverLargeItsEntriesSayTheyAre) {
  use_log(disk);
  Content entry(64);
  std::memcpy(entry.data(), "loge", 4);
  put_le<std::uint32_t>(entry, 8, MiB);
  put_le<std::uint64_t>(entry, 16, 1);
  std::ranges::copy(test::log_guid(7), entry.begin() + 32);
  File file = File::open_write(disk);
  for (std::uint64_t at = 0; at < MiB; at += 4096) file.write_at(log_at + at, entry);
  EXPECT_EQ(why_not(disk), bad_entry("entry 1 at byte 1064960: entries lie on one another"));
}

TEST_F(VhdxLog, ThatIsTooLargeForMemoryIsRefused) {
  test::edit_headers(disk, [](std::span<std::byte> h) {
    put_le<std::uint32_t>(h, 68, 128 << 20);
    put_le<std::uint64_t>(h, 72, 8 << 20);
  });
  test::cut_file(disk, 200 * MiB);
  EXPECT_EQ(why_not(disk), "opened") << "nothing is in it";
  use_log(disk);
  EXPECT_EQ(
      why_not(disk),
      "UnsupportedFeature: disk has a log that cannot be replayed; open it once with the program that made it; VHDX "
      "header, bytes 68..71: a log of 134217728 bytes, the limit is 67108864");
}

}  // namespace
}  // namespace kiln
