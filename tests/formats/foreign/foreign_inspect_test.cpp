// What is wrong with a container is said before QEMU sees it.

#include <gmock/gmock.h>

#include <chrono>
#include <map>

#include "formats/foreign/foreign_files.h"
#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A byte that is changed, and what is said of it.
template <class T>
struct Change {
  std::uint64_t at;
  T value;
  std::string_view name;
};

class Inspect : public testing::Test {
 protected:
  /// The code of what is wrong; "sound" when nothing is.
  std::string code_of(const std::string& format) {
    try {
      test::load_format(format).inspect(file_);
      return "sound";
    } catch (const Error& e) {
      EXPECT_FALSE(e.hint().empty()) << e.what();
      EXPECT_FALSE(e.evidence().empty()) << e.what();
      return e.code();
    }
  }
  /// The file is a sound one of the format, of 9 MiB when qemu-img makes it and of 3 MiB otherwise.
  void sound(const std::string& format) {
    test::Bytes& bytes = sound_[format];
    if (bytes.empty()) bytes = made(format);
    test::write_bytes(file_, bytes);
  }
  test::Bytes made(const std::string& format) {
    if (format == "bochs") return test::bochs_disk(sample());
    if (format == "cloop") return test::cloop_disk(sample());
    if (format == "dmg") return test::dmg_disk(sample());
    test::write_raw(dir_ / "raw", {"", 9u << 20, {{0, 70000}, {5u << 20, 1u << 20}}});
    test::qemu_from_raw(dir_ / "raw", file_, format);
    test::Bytes bytes(fs::file_size(file_));
    File::open_read(file_).read_at(0, bytes);
    return bytes;
  }
  static test::Bytes sample() {
    test::Bytes disk(3u << 20);
    test::fill(std::span(disk).first(100'000), test::Piece::Kind::text, 3);
    test::fill(std::span(disk).last(1000), test::Piece::Kind::random, 4);
    return disk;
  }
  std::map<std::string, test::Bytes> sound_;
  test::TempDir dir_;
  fs::path file_ = dir_ / "file";
};

TEST_F(Inspect, Qed) {
  sound("qed");
  const Inspection found = test::load_format("qed").inspect(file_);
  EXPECT_EQ(found.virtual_size, 9u << 20);
  EXPECT_EQ(found.file_size, fs::file_size(file_));
  EXPECT_TRUE(found.findings.empty());
  for (const Change<std::uint64_t>& change : std::vector<Change<std::uint64_t>>{
           {16, 1, code::backing_file},
           {16, 8, code::unsupported},
           {48, 0, code::invalid_size},
           {48, 1ull << 60, code::invalid_size},
           {48, 1000, code::invalid_size},
           {40, 1ull << 40, code::truncated},
           {40, 0, code::overlap},
           {40, 100, code::damaged},
           {56, 0x0000001000000040, code::backing_file},
       }) {
    sound("qed");
    test::patch_le(file_, change.at, change.value);
    EXPECT_EQ(code_of("qed"), change.name) << change.at << ' ' << change.value;
  }
  for (const Change<std::uint32_t>& change : std::vector<Change<std::uint32_t>>{{4, 0, code::damaged},
                                                                                {4, 65537, code::damaged},
                                                                                {4, 1u << 31, code::damaged},
                                                                                {8, 0, code::damaged},
                                                                                {8, 32, code::damaged},
                                                                                {12, 0, code::damaged},
                                                                                {12, 0xffffffff, code::damaged}}) {
    sound("qed");
    test::patch_le(file_, change.at, change.value);
    EXPECT_EQ(code_of("qed"), change.name) << change.at << ' ' << change.value;
  }
}

/// Tables of a GiB that a file of some KiB claims to have: neither read nor kept.
TEST_F(Inspect, ALargeTableOfASmallFileCostsNothing) {
  const auto begin = std::chrono::steady_clock::now();
  sound("parallels");
  test::patch_le<std::uint32_t>(file_, 28, 1);
  test::patch_le<std::uint32_t>(file_, 32, 1u << 28);
  test::patch_le<std::uint64_t>(file_, 36, 1u << 28);
  test::patch_le<std::uint32_t>(file_, 48, (1u << 21) + 1);
  test::patch_le<std::uint64_t>(file_, 64, 0);
  fs::resize_file(file_, 64);
  fs::resize_file(file_, 1ull << 40);
  EXPECT_EQ(code_of("parallels"), code::unsupported);  // more sectors than can be kept apart
  fs::resize_file(file_, 1ull << 33);
  EXPECT_EQ(code_of("parallels"), "sound");

  for (const char* made : {"raw", "file"}) fs::remove(dir_ / made);
  sound("qed");
  test::patch_le<std::uint32_t>(file_, 4, 64u << 20);
  test::patch_le<std::uint32_t>(file_, 8, 16);
  test::patch_le<std::uint32_t>(file_, 12, 1);
  test::patch_le<std::uint64_t>(file_, 40, 64u << 20);
  test::patch_le<std::uint64_t>(file_, 48, 64ull << 40);
  fs::resize_file(file_, 64);
  fs::resize_file(file_, 1ull << 40);
  EXPECT_EQ(code_of("qed"), "sound");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST_F(Inspect, QedTablesAndClusters) {
  const auto l1 = [&] { return 65536; };
  const auto first = [&](std::uint64_t at) {
    test::Bytes b(8);
    File::open_read(file_).read_at(at, b);
    return get_le<std::uint64_t>(b, 0);
  };
  sound("qed");
  const std::uint64_t l2 = first(l1()), data = first(l2);
  for (const Change<std::uint64_t>& change :
       std::vector<Change<std::uint64_t>>{{65536, 1ull << 50, code::truncated},
                                          {65536, 65536, code::overlap},
                                          {65536, l2 + 8, code::damaged},
                                          {l2, l2, code::overlap},
                                          {l2, fs::file_size(file_) / 65536 * 65536 + 65536, code::truncated},
                                          {l2 + 8 * 100, data, code::overlap},
                                          {l2, data + 512, code::damaged},
                                          {l2, ~0ull, code::damaged},
                                          {l2, 1, "sound"}}) {
    sound("qed");
    test::patch_le(file_, change.at, change.value);
    EXPECT_EQ(code_of("qed"), change.name) << change.at << ' ' << change.value;
  }
  sound("qed");
  test::cut_file(file_, fs::file_size(file_) - 4096);
  EXPECT_EQ(code_of("qed"), code::truncated);
  sound("qed");
  test::patch_le<std::uint64_t>(file_, 16, 2);
  EXPECT_EQ(test::load_format("qed").inspect(file_).findings.size(), 1u);
}

TEST_F(Inspect, Parallels) {
  sound("parallels");
  EXPECT_EQ(test::load_format("parallels").inspect(file_).virtual_size, 9u << 20);
  for (const Change<std::uint32_t>& change : std::vector<Change<std::uint32_t>>{{16, 3, code::unsupported},
                                                                                {28, 0, code::damaged},
                                                                                {28, 0xffffffff, code::damaged},
                                                                                {32, 2, code::damaged},
                                                                                {32, 0xffffffff, code::truncated},
                                                                                {36, 0, code::invalid_size},
                                                                                {40, 0xffff, code::invalid_size},
                                                                                {44, 7, code::damaged},
                                                                                {44, 0x746f6e59, "sound"},
                                                                                {48, 1, code::damaged},
                                                                                {64, 0x7fffffff, code::truncated},
                                                                                {64 + 4, 1, code::overlap},
                                                                                {56, 5, code::damaged},
                                                                                {56, 0x7ffff800, code::truncated}}) {
    sound("parallels");
    test::patch_le(file_, change.at, change.value);
    EXPECT_EQ(code_of("parallels"), change.name) << change.at << ' ' << change.value;
  }
  sound("parallels");
  test::cut_file(file_, fs::file_size(file_) - (1u << 20));
  EXPECT_EQ(code_of("parallels"), code::truncated);
  test::cut_file(file_, 70);
  EXPECT_EQ(code_of("parallels"), code::truncated);
}

TEST_F(Inspect, Bochs) {
  sound("bochs");
  EXPECT_EQ(test::load_format("bochs").inspect(file_).virtual_size, 3u << 20);
  for (const Change<std::uint32_t>& change : std::vector<Change<std::uint32_t>>{{64, 0x30000, code::unsupported},
                                                                                {68, 0, code::damaged},
                                                                                {72, 1, code::damaged},
                                                                                {72, 0xffffffff, code::damaged},
                                                                                {76, 1, code::damaged},
                                                                                {80, 0, code::damaged},
                                                                                {80, 0xfffffe00, code::damaged},
                                                                                {88, 0, code::invalid_size},
                                                                                {88, 511, code::invalid_size},
                                                                                {92, 0x7fffffff, code::invalid_size},
                                                                                {512, 5, code::truncated},
                                                                                {512, 0, code::overlap}}) {
    sound("bochs");
    test::patch_le(file_, change.at, change.value);
    EXPECT_EQ(code_of("bochs"), change.name) << change.at << ' ' << change.value;
  }
  test::Bytes undoable = test::bochs_disk(sample());
  test::put_text(undoable, 48, std::string_view("Undoable"));
  test::write_bytes(file_, undoable);
  EXPECT_EQ(code_of("bochs"), code::parent_needed);
}

TEST_F(Inspect, Cloop) {
  sound("cloop");
  EXPECT_EQ(test::load_format("cloop").inspect(file_).virtual_size, 3u << 20);
  for (const Change<std::uint32_t>& change : std::vector<Change<std::uint32_t>>{{128, 0, code::damaged},
                                                                                {128, 513, code::damaged},
                                                                                {128, 1u << 30, code::damaged},
                                                                                {132, 0, code::invalid_size},
                                                                                {132, 0xffffffff, code::invalid_size},
                                                                                {132, 0x00ffffff, code::truncated},
                                                                                {136, 1, code::truncated},
                                                                                {140, 0, code::damaged},
                                                                                {148, 0, code::damaged},
                                                                                {144, 1, code::truncated}}) {
    sound("cloop");
    test::patch_be(file_, change.at, change.value);
    EXPECT_EQ(code_of("cloop"), change.name) << change.at << ' ' << change.value;
  }
}

TEST_F(Inspect, Dmg) {
  sound("dmg");
  EXPECT_EQ(test::load_format("dmg").inspect(file_).virtual_size, 3u << 20);
  const std::uint64_t trailer = fs::file_size(file_) - 512;
  for (const Change<std::uint32_t>& change : std::vector<Change<std::uint32_t>>{
           {4, 5, code::unsupported},
           {8, 100, code::unsupported},
           {24, 1, code::damaged},
           {40, 1, code::damaged},
           {44, 0x7fffffff, code::damaged},
           {52, 0, code::damaged},
           {216, 0xffffffff, code::damaged},
           {60, 3, code::external_extent},
           {492, 0x7fffffff, code::invalid_size},
           {496, 0, code::invalid_size},
       }) {
    sound("dmg");
    test::patch_be(file_, trailer + change.at, change.value);
    EXPECT_EQ(code_of("dmg"), change.name) << change.at << ' ' << change.value;
  }
  sound("dmg");
  test::patch_be<std::uint32_t>(file_, trailer - 8, 0x6b6f6c79);
  EXPECT_EQ(code_of("dmg"), code::overlap);
}

TEST_F(Inspect, NobodyTakesAnothersFile) {
  for (const char* name : {"qed", "parallels", "bochs", "cloop", "dmg"}) {
    test::write_bytes(file_, test::Bytes(4096));
    EXPECT_EQ(code_of(name), code::format_mismatch) << name;
    test::write_bytes(file_, test::Bytes(10));
    EXPECT_EQ(code_of(name), code::truncated) << name;
  }
}

TEST_F(Inspect, NoneOfThemIsWritten) {
  for (const char* name : {"qed", "parallels", "bochs", "cloop", "dmg"}) {
    try {
      test::load_format(name).create_with(file_, 1u << 20, {});
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_EQ(e.failure(), Failure::invalid);
      EXPECT_THAT(e.what(), HasSubstr("does not write them"));
    }
    EXPECT_FALSE(fs::exists(file_));
  }
}

}  // namespace
}  // namespace kiln
