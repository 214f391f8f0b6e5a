#include <gtest/gtest.h>

#include <kiln/testing.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/temp.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using fakes::FakeContext;

const Stage& write_stage() {
  return test::load_stage("write");
}

struct Options {
  Bytes block{4096};
};

class FileSink final : public BlockSink {
 public:
  FileSink(const fs::path& path, std::uint64_t size) : file_(File::create(path)) { file_.truncate(size); }
  ~FileSink() override {
    if (!finished_) fs::remove(file_.path());
  }
  void append(Encoded& e) override { file_.write_at(e.batch->offset, e.batch->bytes.first(e.batch->length)); }
  void finish() override { finished_ = true; }

 private:
  File file_;
  bool finished_ = false;
};

class Plain final : public FormatOf<Options> {
 public:
  Plain()
      : FormatOf({.name = "plain", .summary = "Bytes.", .extensions = {"pln"}},
                 {{"block", &Options::block, "Size of a block."}}) {}
  Match probe(const Glimpse&) const override { return Match::no; }
  Inspection inspect(const File&) const override { return {}; }
  std::shared_ptr<const BlockReader> open(File, std::shared_ptr<const BlockReader>) const override { return nullptr; }
  mutable std::uint64_t block = 0;  // what it was last asked for

 protected:
  std::unique_ptr<BlockSink> create(const fs::path& file, std::uint64_t size, const Options& options) const override {
    block = options.block.count;
    return std::make_unique<FileSink>(file, size);
  }
};

struct MachineOptions {
  Table facts;
};

/// A format that describes the machine as well.
class Package final : public FormatOf<MachineOptions> {
 public:
  Package()
      : FormatOf({.name = "package", .summary = "A machine.", .extensions = {"pkg"}},
                 {{"facts", &MachineOptions::facts, "What is known."}}) {}
  Match probe(const Glimpse&) const override { return Match::no; }
  Inspection inspect(const File&) const override { return {}; }
  std::shared_ptr<const BlockReader> open(File, std::shared_ptr<const BlockReader>) const override { return nullptr; }
  mutable Table facts;  // what it was last told

 protected:
  std::unique_ptr<BlockSink> create(const fs::path& file, std::uint64_t size,
                                    const MachineOptions& options) const override {
    facts = options.facts;
    return std::make_unique<FileSink>(file, size);
  }
};

class Write : public ::testing::Test {
 protected:
  Write() { ctx.fake_formats.formats["plain"] = &plain; }
  Problems check(const Table& params) {
    fakes::FakeCheck c(ctx.fake_formats);
    write_stage().check_with(params, c);
    return c.problems;
  }

  const Plain plain;
  const test::TempDir dir;
  FakeContext ctx;
  const fakes::MemoryDisk disk{"content", 2 * chunk_size};
};

TEST_F(Write, TellsAFormatOfMachinesWhatIsKnownOfThisOne) {
  const Package package;
  ctx.fake_formats.formats["package"] = &package;
  ctx.size = disk.size();
  ctx.known_facts = {{"machine.cpus", "4"}, {"boot.firmware", "uefi"}};
  write_stage().run_with(ctx, {{"file", Value{dir / "x.pkg"}}, {"format", Value{std::string("package")}}});
  EXPECT_EQ(canonical(Value{package.facts}), canonical(Value{Table{{"machine.cpus", Value{std::string("4")}},
                                                                   {"boot.firmware", Value{std::string("uefi")}}}}));
}

TEST_F(Write, RefusesAMachineThatWouldLoseADisk) {
  const Package package;
  ctx.fake_formats.formats["package"] = &package;
  ctx.size = disk.size();
  const Table params{{"file", Value{dir / "x.pkg"}}, {"format", Value{std::string("package")}}};
  ctx.known_parts = {{part_role::firmware, "vars", nullptr}};
  write_stage().run_with(ctx, params);  // the firmware makes itself new ones
  ctx.consumers.clear();
  ctx.known_parts.push_back({part_role::data, "disk1", nullptr});
  try {
    write_stage().run_with(ctx, params);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.evidence(), std::vector<std::string>{"disk1"});
    EXPECT_FALSE(error.hint().empty());
  }
  EXPECT_FALSE(fs::exists(dir / "x.pkg"));
}

TEST_F(Write, WritesInTheFormatOfTheEnding) {
  ctx.size = disk.size();
  const fs::path file = dir / "out" / "x.pln";
  const Table params{{"file", Value{file}}, {"options", Value{Table{{"block", Value{std::string("64K")}}}}}};
  write_stage().run_with(ctx, params);
  EXPECT_EQ(plain.block, 65536U);
  EXPECT_FALSE(fs::exists(file));  // not before it is complete
  ctx.pass(disk);
  EXPECT_TRUE(test::same_as_raw(disk, file));
  EXPECT_TRUE(ctx.summed_up.starts_with(file.string() + "  plain, ")) << ctx.summed_up;
  EXPECT_TRUE(write_stage().still_there_with(params, ctx.known_facts, ctx.fake_catalog));
  write_text(file, "changed by somebody");
  EXPECT_FALSE(write_stage().still_there_with(params, ctx.known_facts, ctx.fake_catalog));
}

TEST_F(Write, LeavesTheOldFileWhenTheRunEndsEarly) {
  const fs::path file = dir / "x.pln";
  write_text(file, "old");
  ctx.size = disk.size();
  write_stage().run_with(ctx, {{"file", Value{file}}});
  ctx.consumers.clear();
  EXPECT_EQ(read_text(file), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 1);
}

TEST_F(Write, ChecksFormatAndOptionsBeforehand) {
  Problems p = check({{"file", Value{dir / "x.abc"}}});
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(p[0].what, "the name \"x.abc\" does not tell which format to write");
  EXPECT_EQ(p[0].hint, "name the format, one of: plain");
  p = check({{"file", Value{dir / "x"}}, {"format", Value{std::string("vmdk")}}});
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(p[0].what, "there is no format \"vmdk\"");
  p = check({{"file", Value{dir / "x.pln"}}, {"options", Value{Table{{"blok", Value{true}}}}}});
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(p[0].param, "options.blok");
  EXPECT_EQ(p[0].hint, "did you mean \"block\"?");
  p = check({{"file", Value{dir.path()}}, {"format", Value{std::string("plain")}}});
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(p[0].what, dir.path().string() + " is a folder");
  p = check({{"file", Value{fs::path("/dev/null")}}, {"format", Value{std::string("plain")}}});
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(p[0].what, "/dev/null is not a regular file");
}

}  // namespace
}  // namespace kiln
