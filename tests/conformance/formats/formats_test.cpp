// What every format promises, asked of each one that was built.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "disk/pump.h"
#include "engine/registry.h"
#include "support/disks.h"
#include "support/temp.h"

namespace kiln {
namespace {

using test::DiskShape;

const engine::Registry& registry() {
  static const engine::Registry all({std::filesystem::path(KILN_BINARY_DIR) / "lib/kiln/plugins"});
  return all;
}

/// Options to write with: none at all, and each choice of each parameter that has choices.
std::vector<Table> ways_to_write(const Format& format) {
  std::vector<Table> ways{{}};
  for (const Param& param : format.about().params)
    for (const std::string& choice : param.choices) ways.push_back({{param.name, Value{choice}}});
  return ways;
}

std::vector<DiskShape> small_disks(std::initializer_list<std::string_view> names) {
  std::vector<DiskShape> shapes = test::sample_disks(true);
  std::erase_if(shapes, [&](const DiskShape& s) { return std::ranges::find(names, s.name) == names.end(); });
  return shapes;
}

class Formats : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { format_ = &registry().get(GetParam()); }

  void write(const std::filesystem::path& file, const std::filesystem::path& raw, const Table& options,
             unsigned workers = 2) {
    const test::RawDisk disk(raw);
    const auto sink = format_->create_with(file, disk.size(), options);
    BlockSink* const sinks[] = {sink.get()};
    pump(disk, sinks, {.workers = workers});
    sink->finish();
  }

  /// Whether `file` reads as `raw`. A container that counts in sectors or in cylinders (VHD geometry: at most 255 * 16
  /// sectors) may add zeros up to the next one.
  testing::AssertionResult reads_as(const std::filesystem::path& file, const std::filesystem::path& raw) {
    const auto reader = format_->open(file);
    const std::uint64_t size = std::filesystem::file_size(raw);
    if (reader->size() < size || reader->size() >= size + 255 * 16 * 512)
      return testing::AssertionFailure() << "size is " << reader->size() << ", not " << size;
    std::filesystem::resize_file(raw, reader->size());
    const auto result = test::same_as_raw(*reader, raw);
    std::filesystem::resize_file(raw, size);
    return result;
  }

  test::TempDir dir_;
  const Format* format_ = nullptr;
};

TEST_P(Formats, SayWhatTheyAre) {
  const About& about = format_->about();
  EXPECT_EQ(about.name, GetParam());
  EXPECT_THAT(about.summary, testing::EndsWith("."));
  EXPECT_GE(about.revision, 1);
  EXPECT_FALSE(about.extensions.empty());
  for (const Param& param : about.params) {
    EXPECT_THAT(param.doc, testing::EndsWith(".")) << param.name;
    EXPECT_FALSE(param.required) << param.name << ": a disk can be written without options";
  }
}

TEST_P(Formats, ReadBackWhatTheyWrite) {
  for (const Table& options : ways_to_write(*format_))
    for (const DiskShape& shape : small_disks({"one-sector", "empty", "islands", "mixed", "last-partial-block",
                                               "full-partial-block", "one-byte", "odd", "odd-empty"})) {
      SCOPED_TRACE(shape.name + " " + canonical(Value{options}));
      const auto raw = dir_ / "disk.raw", file = dir_ / "disk";
      test::write_raw(raw, shape);
      write(file, raw, options);
      EXPECT_TRUE(reads_as(file, raw));
      const Inspection found = format_->inspect(file);
      EXPECT_EQ(found.format, GetParam());
      EXPECT_EQ(found.file_size, std::filesystem::file_size(file));
      EXPECT_EQ(found.virtual_size, format_->open(file)->size());
      // Raw has no mark of its own: it is known by what is on the disk, and nothing is on these.
      if (GetParam() != "raw") {
        EXPECT_EQ(registry().detect(file).about().name, GetParam());
      }
      std::filesystem::remove(raw);
      std::filesystem::remove(file);
    }
}

TEST_P(Formats, WriteTheSameBytesAgain) {
  const auto raw = dir_ / "disk.raw";
  for (const DiskShape& shape : small_disks({"mixed"})) test::write_raw(raw, shape);
  for (const Table& options : ways_to_write(*format_)) {
    SCOPED_TRACE(canonical(Value{options}));
    write(dir_ / "one", raw, options, 1);
    write(dir_ / "many", raw, options, 4);
    EXPECT_TRUE(test::same_files(dir_ / "one", dir_ / "many"));
    std::filesystem::remove(dir_ / "one");
    std::filesystem::remove(dir_ / "many");
  }
}

/// A container that is cut is an Error, or what was cut did not matter. Only a format without a mark of its own (raw)
/// cannot know how long the disk was; what it still reads is right.
TEST_P(Formats, NeverInventWhatIsCutOff) {
  const auto raw = dir_ / "disk.raw", file = dir_ / "disk";
  test::write_raw(raw,
                  {"cut", 3 << 20, {{0, 4096}, {1 << 20, 600 << 10, test::Piece::Kind::text}, {(3 << 20) - 512, 512}}});
  for (const Table& options : ways_to_write(*format_)) {
    SCOPED_TRACE(canonical(Value{options}));
    write(file, raw, options);
    const std::uint64_t size = std::filesystem::file_size(file);
    int refused = 0;
    for (std::uint64_t i = 1; i < 60; ++i) {
      const std::uint64_t length = i < 20 ? size - i * 111 : size / 60 * (60 - i);
      SCOPED_TRACE(length);
      test::cut_file(file, length);
      try {
        const auto reader = format_->open(file);
        std::vector<std::byte> got(reader->size()), want(std::filesystem::file_size(raw));
        reader->read(0, got);
        File::open_read(raw).read_at(0, want);
        EXPECT_EQ(std::memcmp(got.data(), want.data(), std::min(got.size(), want.size())), 0);
        EXPECT_TRUE(got.size() >= want.size() || registry().detect(file).about().name == "raw");
      } catch (const Error& e) {
        EXPECT_FALSE(e.hint().empty()) << e.what();
        ++refused;
      }
    }
    EXPECT_TRUE(refused > 10 || GetParam() == "raw") << refused;
    std::filesystem::remove(file);
  }
}

TEST_P(Formats, TakeADiskWithoutBytesOrSayThatTheyCannot) {
  const auto file = dir_ / "disk";
  try {
    format_->create_with(file, 0, {})->finish();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::invalid) << e.what();
    EXPECT_FALSE(e.hint().empty()) << e.what();
    EXPECT_FALSE(std::filesystem::exists(file));
    return;
  }
  try {
    EXPECT_EQ(format_->open(file)->size(), 0u);
  } catch (const Error& e) {  // a raw file without bytes is more likely a download that failed
    EXPECT_FALSE(e.hint().empty()) << e.what();
  }
}

TEST_P(Formats, LeaveNothingWithoutFinish) {
  const auto raw = dir_ / "disk.raw";
  for (const DiskShape& shape : small_disks({"mixed"})) test::write_raw(raw, shape);
  for (const Table& options : ways_to_write(*format_)) {
    test::copy_disk(test::RawDisk(raw), *format_->create_with(dir_ / "half", 20 << 20, options), false);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "half")) << canonical(Value{options});
  }
}

TEST_P(Formats, DoNotTouchAFileThatExists) {
  test::write_raw(dir_ / "mine", {"", 512, {{0, 512}}});
  EXPECT_THROW(format_->create_with(dir_ / "mine", 1 << 20, {}), Error);
  EXPECT_EQ(std::filesystem::file_size(dir_ / "mine"), 512u);
}

/// What QEMU reads for kiln is read only. What `import` reads, because it is a package around disks, is write only.
enum class Direction { both, read_only, write_only };

Direction direction_of(const Format& format) {
  if (!format.qemu_driver().empty()) return Direction::read_only;
  return format.about().summary.ends_with("(write only).") ? Direction::write_only : Direction::both;
}

std::vector<std::string> names(Direction wanted) {
  std::vector<std::string> all = registry().names();
  std::erase_if(all, [&](const std::string& name) { return direction_of(registry().get(name)) != wanted; });
  return all;
}

class ReadOnlyFormats : public testing::TestWithParam<std::string> {};

TEST_P(ReadOnlyFormats, SayWhatTheyAreAndThatTheyDoNotWrite) {
  const test::TempDir dir;
  const Format& format = registry().get(GetParam());
  EXPECT_EQ(format.about().name, GetParam());
  EXPECT_THAT(format.about().summary, testing::EndsWith("(read only)."));
  EXPECT_THAT(format.about().needs, testing::Contains("bwrap"));
  EXPECT_FALSE(format.about().extensions.empty());
  try {
    format.create_with(dir / "disk", 1 << 20, {});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::invalid) << e.what();
    EXPECT_FALSE(e.hint().empty()) << e.what();
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "disk"));
}

class WriteOnlyFormats : public testing::TestWithParam<std::string> {
 protected:
  const Format& format_ = registry().get(GetParam());
  const test::TempDir dir_;
};

TEST_P(WriteOnlyFormats, SayWhatTheyAreAndThatTheyDoNotRead) {
  EXPECT_EQ(format_.about().name, GetParam());
  EXPECT_FALSE(format_.about().extensions.empty());
  for (const Param& param : format_.about().params) {
    EXPECT_THAT(param.doc, testing::EndsWith(".")) << param.name;
    EXPECT_FALSE(param.required) << param.name << ": a disk can be written without options";
  }
  format_.create_with(dir_ / "disk", 1 << 20, {})->finish();
  const File file = File::open_read(dir_ / "disk");
  std::vector<std::byte> head(std::min<std::uint64_t>(file.size(), 64 * 1024));
  file.read_at(0, head);
  EXPECT_EQ(format_.probe({head, head, file.size()}), Match::no);
  EXPECT_THROW(format_.inspect(dir_ / "disk"), Error);
  EXPECT_THROW(format_.open(dir_ / "disk"), Error);
}

TEST_P(WriteOnlyFormats, WriteTheSameBytesAgain) {
  test::write_raw(dir_ / "raw", small_disks({"mixed"}).front());
  const test::RawDisk disk(dir_ / "raw");
  for (const Table& options : ways_to_write(format_)) {
    SCOPED_TRACE(canonical(Value{options}));
    for (const unsigned workers : {1u, 4u}) {
      const auto sink = format_.create_with(dir_ / std::to_string(workers), disk.size(), options);
      BlockSink* const sinks[] = {sink.get()};
      pump(disk, sinks, {.workers = workers});
      sink->finish();
    }
    EXPECT_TRUE(test::same_files(dir_ / "1", dir_ / "4"));
    std::filesystem::remove(dir_ / "1");
    std::filesystem::remove(dir_ / "4");
  }
}

TEST_P(WriteOnlyFormats, LeaveNothingWithoutFinish) {
  test::write_raw(dir_ / "raw", small_disks({"mixed"}).front());
  test::copy_disk(test::RawDisk(dir_ / "raw"), *format_.create_with(dir_ / "half", 20 << 20, {}), false);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "half"));
}

TEST_P(WriteOnlyFormats, DoNotTouchAFileThatExists) {
  test::write_raw(dir_ / "mine", {"", 512, {{0, 512}}});
  EXPECT_THROW(format_.create_with(dir_ / "mine", 1 << 20, {}), Error);
  EXPECT_EQ(std::filesystem::file_size(dir_ / "mine"), 512u);
}

INSTANTIATE_TEST_SUITE_P(Built, Formats, testing::ValuesIn(names(Direction::both)),
                         [](const auto& made) { return made.param; });
INSTANTIATE_TEST_SUITE_P(Built, ReadOnlyFormats, testing::ValuesIn(names(Direction::read_only)),
                         [](const auto& made) { return made.param; });

INSTANTIATE_TEST_SUITE_P(Built, WriteOnlyFormats, testing::ValuesIn(names(Direction::write_only)),
                         [](const auto& made) { return made.param; });

}  // namespace
}  // namespace kiln
