#include <gtest/gtest.h>
#include <sys/stat.h>

#include <kiln/testing.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/temp.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using fakes::FakeContext;

const Stage& import_stage() {
  return test::load_stage("import");
}

struct NoOptions {};

/// Enough of a format: a file is its own disk.
class Plain final : public FormatOf<NoOptions> {
 public:
  Plain() : FormatOf({.name = "plain", .summary = "A file is its own disk."}, Schema<NoOptions>{}) {}
  Match probe(const Glimpse&) const override { return Match::weak; }
  Inspection inspect(const File& file) const override {
    return {.format = "plain", .variant = "v1", .virtual_size = file.size(), .file_size = file.size(), .details = {}};
  }
  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    return std::make_shared<test::RawDisk>(file.path());
  }

 protected:
  std::unique_ptr<BlockSink> create(const fs::path&, std::uint64_t, const NoOptions&) const override { return nullptr; }
};
const Plain plain;

class Import : public ::testing::Test {
 protected:
  Import() {
    ctx.fake_formats.formats["plain"] = &plain;
    ctx.fake_formats.detected = "plain";
    write_text(file, std::string(300'000, 'x'));
  }
  void run(Table extra = {}) {
    extra["file"] = Value{file};
    import_stage().run_with(ctx, extra);
  }
  Problems check(const Table& params) {
    fakes::FakeCheck c(ctx.fake_formats);
    import_stage().check_with(params, c);
    return c.problems;
  }

  const test::TempDir dir;
  const fs::path file = dir / "vendor.img";
  FakeContext ctx;
};

TEST_F(Import, TakesTheFileAsTheDisk) {
  run({{"format", Value{std::string("plain")}}});
  ASSERT_TRUE(ctx.produced);
  EXPECT_TRUE(test::same_as_raw(*ctx.produced, file));
  EXPECT_EQ(ctx.summed_up, "vendor.img  plain v1, 293.0 KiB");
  EXPECT_EQ(ctx.known_facts, (Facts{{"source.kind", "import"},
                                    {"source.file", "vendor.img"},
                                    {"source.format", "plain"},
                                    {"source.size", "300000"},
                                    {"disk.layout", "none"}}));
  EXPECT_EQ(ctx.warnings,
            (std::vector<std::string>{
                "no partition table and no file system was found: this disk may hold no operating system"}));
}

TEST_F(Import, VerifiesTheSha256BeforeAnythingElse) {
  run({{"sha256", Value{"sha256:" + hash_file(file)}}});
  EXPECT_EQ(ctx.known_facts.at("source.sha256"), hash_file(file));
  FakeContext second;
  second.fake_formats = ctx.fake_formats;
  const std::string wrong(64, 'a');
  try {
    import_stage().run_with(second, {{"file", Value{file}}, {"sha256", Value{wrong}}});
    FAIL() << "took it";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "vendor.img does not have the expected sha256");
    EXPECT_EQ(e.failure(), Failure::refused);
    EXPECT_EQ(e.evidence(), (std::vector<std::string>{"expected " + wrong, "it is    " + hash_file(file)}));
    EXPECT_EQ(e.hint(), "get the file again, or correct sha256 when a newer file is meant");
  }
  EXPECT_FALSE(second.produced);
}

TEST_F(Import, NoticesThatTheFileIsWrittenTo) {
  run();
  std::vector<std::byte> bytes(512);
  ctx.produced->read(0, bytes);
  File::open_write(file).write_at(5, bytes);
  try {
    ctx.produced->read(0, bytes);
    FAIL() << "read on";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "vendor.img was changed while it was read");
  }
}

TEST_F(Import, NoticesThatTheFileIsWrittenToWhileItIsVerified) {
  const std::string right = hash_file(file);
  ctx.on_progress = [&](const Progress&) { File::open_write(file).write_at(5, std::as_bytes(std::span("evil", 4))); };
  try {
    run({{"sha256", Value{right}}});
    FAIL() << "took it";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "vendor.img was changed while it was read");
  }
  EXPECT_FALSE(ctx.produced);
}

TEST_F(Import, NoticesThatDataBecameAHole) {
  run();
  fs::resize_file(file, 0);
  fs::resize_file(file, 300'000);
  EXPECT_THROW(ctx.produced->extent_at(0), Error);
}

TEST_F(Import, NoticesThatTheFileIsExchanged) {
  run();
  write_text(dir / "other", std::string(300'000, 'x'));
  fs::rename(dir / "other", file);
  std::vector<std::byte> bytes(512);
  EXPECT_THROW(ctx.produced->read(0, bytes), Error);
}

TEST_F(Import, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  for (const char* name : {"pipe", ""}) {
    const Problems problems = check({{"file", Value{dir / name}}});
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].what, (dir / name).string() + " is not a regular file");
    EXPECT_THROW(import_stage().run_with(ctx, {{"file", Value{dir / name}}}), Error);  // and does not wait for a writer
  }
  const Problems missing = check({{"file", Value{dir / "nothing"}}});
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_EQ(missing[0].what, "there is no file " + (dir / "nothing").string());
}

TEST_F(Import, ChecksFormatAndDigestBeforehand) {
  const Problems problems =
      check({{"file", Value{file}}, {"format", Value{std::string("vhdx")}}, {"sha256", Value{std::string("12")}}});
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[0].what, "\"sha256\" takes 64 hexadecimal digits");
  EXPECT_EQ(problems[1].what, "there is no format \"vhdx\"");
}

TEST_F(Import, KnowsAFileByWhatTheFileSystemSaysOfIt) {
  const Table params{{"file", Value{file}}};
  const std::string before = import_stage().fingerprint_with(params);
  EXPECT_EQ(import_stage().fingerprint_with(params), before);
  write_text(file, std::string(300'001, 'x'));
  EXPECT_NE(import_stage().fingerprint_with(params), before);
}

/// A disk with the given bytes here and there.
std::shared_ptr<fakes::MemoryDisk> disk_with(const std::vector<std::pair<std::size_t, std::string>>& pieces) {
  std::string bytes(1 << 20, '\0');
  for (const auto& [at, text] : pieces) bytes.replace(at, text.size(), text);
  return std::make_shared<fakes::MemoryDisk>(bytes);
}

class ImportLayout : public Import {
 protected:
  Facts layout(const std::vector<std::pair<std::size_t, std::string>>& pieces) {
    const auto disk = disk_with(pieces);
    std::vector<std::byte> bytes(disk->size());
    disk->read(0, bytes);
    fs::remove(file);
    File::create(file).write_at(0, bytes);
    FakeContext fresh;
    fresh.fake_formats = ctx.fake_formats;
    import_stage().run_with(fresh, {{"file", Value{file}}});
    Facts out;
    for (const char* name : {"disk.layout", "boot.firmware"})
      if (fresh.known_facts.contains(name)) out[name] = fresh.known_facts[name];
    EXPECT_EQ(fresh.warnings.empty(), out["disk.layout"] != "none");
    return out;
  }
};

const std::string mbr_mark("\x55\xAA");
std::string mbr_entry(char type) {
  return std::string("\x80\0\0\0", 4) + type + std::string("\0\0\0\0\x08\0\0\0\x08\0\0", 11);
}

TEST_F(ImportLayout, FindsPartitionTablesAndWhatStartsThem) {
  EXPECT_EQ(layout({{446, mbr_entry('\x83')}, {510, mbr_mark}, {0, "\xeb\x63"}}),
            (Facts{{"disk.layout", "mbr"}, {"boot.firmware", "bios"}}));
  EXPECT_EQ(layout({{446, mbr_entry('\xEF')}, {510, mbr_mark}}),
            (Facts{{"disk.layout", "mbr"}, {"boot.firmware", "uefi"}}));
  const std::string header =
      "EFI PART" + std::string(64, '\0') + std::string("\x02\0\0\0\0\0\0\0\x04\0\0\0\x80\0\0\0", 16);
  const std::string esp("\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b", 16);
  const std::string bios("\x48\x61\x68\x21\x49\x64\x6f\x6e\x74\x4e\x65\x65\x64\x45\x46\x49", 16);
  EXPECT_EQ(layout({{512, header}, {1024 + 128, esp}}), (Facts{{"disk.layout", "gpt"}, {"boot.firmware", "uefi"}}));
  EXPECT_EQ(layout({{512, header}, {1024, bios}, {1024 + 128, esp}}),
            (Facts{{"disk.layout", "gpt"}, {"boot.firmware", "bios,uefi"}}));
  EXPECT_EQ(layout({{512, header}}), (Facts{{"disk.layout", "gpt"}}));
}

TEST_F(ImportLayout, FindsFileSystemsWithoutATable) {
  EXPECT_EQ(layout({{1080, "\x53\xEF"}}), (Facts{{"disk.layout", "ext4"}}));
  EXPECT_EQ(layout({{0, "XFSB"}}), (Facts{{"disk.layout", "xfs"}}));
  EXPECT_EQ(layout({{32769, "CD001"}}), (Facts{{"disk.layout", "iso9660"}}));
  EXPECT_EQ(layout({{7, "nothing"}}), (Facts{{"disk.layout", "none"}}));
}

TEST_F(ImportLayout, SurvivesADamagedTable) {
  const std::string header = "EFI PART" + std::string(64, '\xFF') + std::string(16, '\xFF');
  EXPECT_EQ(layout({{512, header}}), (Facts{{"disk.layout", "gpt"}}));
}

}  // namespace
}  // namespace kiln
