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

/// Disks one after the other, and what is known.
class Packing final : public Package {
 public:
  Packing(fs::path file, std::vector<std::uint64_t> sizes) : file_(std::move(file)), sizes_(std::move(sizes)) {}
  BlockSink& next_disk() override {
    const fs::path path = file_.string() + std::to_string(paths_.size());
    disk_ = std::make_unique<FileSink>(path, sizes_.at(paths_.size()));
    paths_.push_back(path);
    return *disk_;
  }
  void finish(const std::function<void(std::uint64_t, std::uint64_t)>& progress) override {
    std::string all;
    for (const fs::path& path : paths_) {
      all += read_text(path);
      fs::remove(path);
    }
    progress(all.size(), all.size());
    write_text(file_, all);
  }

 private:
  fs::path file_;
  std::vector<std::uint64_t> sizes_;
  std::vector<fs::path> paths_;
  std::unique_ptr<BlockSink> disk_;
};

/// A format of whole machines.
class MachineFormat final : public FormatOf<Options> {
 public:
  MachineFormat() : FormatOf({.name = "machine", .summary = "A machine.", .extensions = {"pkg"}}, {}) {}
  Match probe(const Glimpse&) const override { return Match::no; }
  Inspection inspect(const File&) const override { return {}; }
  std::shared_ptr<const BlockReader> open(File, std::shared_ptr<const BlockReader>) const override { return nullptr; }
  bool is_package() const override { return true; }
  mutable Facts told;  // what it was last told

 protected:
  std::unique_ptr<BlockSink> create(const fs::path&, std::uint64_t, const Options&) const override { return nullptr; }
  std::unique_ptr<Package> pack(const fs::path& file, const std::vector<std::uint64_t>& sizes, const Facts& known,
                                const Options&) const override {
    told = known;
    return std::make_unique<Packing>(file, sizes);
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

TEST_F(Write, GivesAFormatOfMachinesEveryDiskAndWhatIsKnown) {
  const MachineFormat machine;
  ctx.fake_formats.formats["machine"] = &machine;
  ctx.size = disk.size();
  ctx.known_facts = {{"machine.cpus", "4"}, {"boot.firmware", "uefi"}};
  ctx.add_part(part_role::data, "disk1", fakes::MemoryDisk("second", chunk_size));
  ctx.add_part(part_role::firmware, "vars", fakes::MemoryDisk("settings", chunk_size));  // no place for these
  ctx.add_part(part_role::data, "disk2", fakes::MemoryDisk("third", chunk_size + 512));
  const fs::path file = dir / "x.pkg";
  write_stage().run_with(ctx, {{"file", Value{file}}, {"format", Value{std::string("machine")}}});
  ctx.pass(disk);
  const std::string all = read_text(file);
  ASSERT_EQ(all.size(), 4 * chunk_size + 512);
  EXPECT_TRUE(all.starts_with("content"));
  EXPECT_EQ(all.substr(2 * chunk_size, 6), "second");
  EXPECT_EQ(all.substr(3 * chunk_size, 5), "third");
  EXPECT_EQ(machine.told, (Facts{{"machine.cpus", "4"}, {"boot.firmware", "uefi"}}));
  EXPECT_EQ(ctx.progressed.back().what, "the manifest");
}

TEST_F(Write, LeavesNothingOfAMachineThatIsStopped) {
  const MachineFormat machine;
  ctx.fake_formats.formats["machine"] = &machine;
  ctx.size = disk.size();
  write_stage().run_with(ctx, {{"file", Value{dir / "x.pkg"}}, {"format", Value{std::string("machine")}}});
  ctx.stop_source.request_stop();
  EXPECT_THROW(ctx.pass(disk), Error);
  ctx.consumers.clear();
  EXPECT_TRUE(fs::is_empty(dir.path()));
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
