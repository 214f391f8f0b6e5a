#include <gtest/gtest.h>

#include <sys/stat.h>

#include <kiln/file.h>

#include "disk/pump.h"
#include "support/disks.h"
#include "support/full_disk.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

const Format& raw() {
  static const Format& format = test::load_format("raw");
  return format;
}

std::uint64_t allocated(const std::filesystem::path& file) {
  struct stat st {};
  EXPECT_EQ(::stat(file.c_str(), &st), 0);
  return static_cast<std::uint64_t>(st.st_blocks) * 512;
}

TEST(Raw, ReadsAndWritesEveryShape) {
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    test::TempDir dir;
    test::write_raw(dir / "in", shape);
    const auto reader = raw().open(dir / "in");
    EXPECT_TRUE(test::same_as_raw(*reader, dir / "in")) << shape.name;
    const auto sink = raw().create_with(dir / "out", reader->size(), {});
    BlockSink* const sinks[] = {sink.get()};
    pump(*reader, sinks);
    sink->finish();
    EXPECT_TRUE(test::same_files(dir / "out", dir / "in")) << shape.name;
    EXPECT_LE(allocated(dir / "out"), allocated(dir / "in") + shape.pieces.size() * 2 * chunk_size) << shape.name;
    EXPECT_EQ(raw().inspect(dir / "out").virtual_size, shape.size);
  }
}

TEST(Raw, WrittenZerosBecomeHoles) {
  test::TempDir dir;
  test::write_raw(dir / "in", {"zeros", 8 << 20, {{0, 8 << 20, test::Piece::Kind::zeros}}});
  const auto sink = raw().create_with(dir / "out", 8 << 20, {});
  test::copy_disk(*raw().open(dir / "in"), *sink);
  EXPECT_EQ(allocated(dir / "out"), 0u);
  EXPECT_EQ(std::filesystem::file_size(dir / "out"), 8u << 20);
}

TEST(Raw, IsTheLastResortOfRecognition) {
  const std::vector<std::byte> bytes(512);
  EXPECT_EQ(raw().probe({bytes, bytes, 512}), Match::weak);
  EXPECT_EQ(raw().probe({{}, {}, 0}), Match::no);
}

TEST(Raw, AnEmptyFileIsNoDisk) {
  test::TempDir dir;
  write_text(dir / "in", "");
  try {
    raw().open(dir / "in");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), (dir / "in").string() + " is empty");
  }
}

TEST(Raw, AFileThatShrinksIsTruncatedAndNotZeros) {
  test::TempDir dir;
  test::write_raw(dir / "in", {"disk", 4 << 20, {{0, 4 << 20}}});
  const auto reader = raw().open(dir / "in");
  test::cut_file(dir / "in", 3 << 20);
  std::vector<std::byte> bytes(4096);
  EXPECT_THROW(reader->read(3 << 20, bytes), Error);
  EXPECT_THROW(pump(*reader, {}), Error);
}

TEST(Raw, WithoutFinishNothingIsLeftAndAnExistingFileIsSafe) {
  test::TempDir dir;
  {
    const auto sink = raw().create_with(dir / "out", 1 << 20, {});
    EXPECT_THROW(raw().create_with(dir / "out", 1 << 20, {}), Error);
    EXPECT_TRUE(std::filesystem::exists(dir / "out"));
  }
  EXPECT_EQ(test::names_in(dir.path()), "");
}

TEST(Raw, AFullDiskIsSaidAndNothingIsLeft) {
  test::TempDir dir;
  test::write_raw(dir / "in", {"disk", 8 << 20, {{0, 8 << 20}}});
  test::on_small_disk(2 << 20, [&](const std::filesystem::path& small) {
    try {
      const auto reader = raw().open(dir / "in");
      const auto sink = raw().create_with(small / "out", reader->size(), {});
      BlockSink* const sinks[] = {sink.get()};
      pump(*reader, sinks);
      ADD_FAILURE() << "it fitted";
    } catch (const Error& e) {
      EXPECT_EQ(std::filesystem::path(e.what()).filename(), "out: No space left on device");
      EXPECT_EQ(e.hint(), "free some space, or write to another disk");
    }
    EXPECT_EQ(test::names_in(small), "");
  });
}

}  // namespace
}  // namespace kiln
