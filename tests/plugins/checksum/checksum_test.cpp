#include <gtest/gtest.h>

#include <kiln/testing.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using fakes::FakeContext;

const Stage& checksum() {
  return test::load_stage("checksum");
}

std::string first_word(const std::string& text) {
  return text.substr(0, text.find(' '));
}

void run_on(FakeContext& ctx, const BlockReader& disk, const Table& params, const Digest& content = {}) {
  ctx.size = disk.size();
  checksum().run_with(ctx, params);
  ctx.pass(disk, content);
}

TEST(Checksum, IsThatOfTheRawDiskForEveryShape) {
  const test::TempDir dir;
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    if (shape.size > (34u << 20)) continue;
    const auto raw = dir / (shape.name + ".raw");
    test::write_raw(raw, shape);
    FakeContext ctx;
    run_on(ctx, test::RawDisk(raw),
           {{"algorithms", Value{List{Value{std::string("sha256")}, Value{std::string("sha512")}}}}});
    EXPECT_EQ(ctx.known_facts.at("checksum.sha256"), first_word(test::run({"sha256sum", raw}).output)) << shape.name;
    EXPECT_EQ(ctx.known_facts.at("checksum.sha512"), first_word(test::run({"sha512sum", raw}).output)) << shape.name;
  }
}

TEST(Checksum, WritesAFileThatSha256sumReads) {
  const test::TempDir dir;
  const fakes::MemoryDisk disk("a disk of some bytes", 3 * chunk_size);
  std::vector<std::byte> bytes(disk.size());
  disk.read(0, bytes);
  File raw = File::create(dir / "web.raw");
  raw.write_at(0, bytes);
  FakeContext ctx;
  run_on(ctx, disk, {{"file", Value{dir / "new" / "web.raw.sha256"}}}, sha256("x"));
  EXPECT_EQ(ctx.known_facts.at("checksum.content"), "sha256:" + to_hex(sha256("x")));
  std::filesystem::rename(dir / "new" / "web.raw.sha256", dir / "web.raw.sha256");
  EXPECT_EQ(test::run({"env", "-C", dir.path(), "sha256sum", "-c", "--strict", "web.raw.sha256"}).output,
            "web.raw: OK\n");
}

TEST(Checksum, IsStillThereWhileTheFileHoldsTheDigests) {
  const test::TempDir dir;
  FakeContext ctx;
  const Table params{{"file", Value{dir / "sum"}}};
  run_on(ctx, fakes::MemoryDisk("x", 512), params);
  EXPECT_TRUE(checksum().still_there_with(params, ctx.known_facts, ctx.fake_catalog));
  write_text(dir / "sum", "something else");
  EXPECT_FALSE(checksum().still_there_with(params, ctx.known_facts, ctx.fake_catalog));
  std::filesystem::remove(dir / "sum");
  EXPECT_FALSE(checksum().still_there_with(params, ctx.known_facts, ctx.fake_catalog));
}

TEST(Checksum, RefusesAnUnknownAlgorithm) {
  FakeContext ctx;
  fakes::FakeCheck check(ctx.fake_formats);
  checksum().check_with({{"algorithms", Value{List{Value{std::string("md5")}}}}}, check);
  ASSERT_EQ(check.problems.size(), 1U);
  EXPECT_EQ(check.problems[0].param, "algorithms[0]");
  EXPECT_EQ(check.problems[0].what, "there is no algorithm \"md5\"");
}

TEST(Checksum, LeavesNoThreadWhenThePassIsGivenUp) {
  FakeContext ctx;
  ctx.size = 1ULL << 40;
  checksum().run_with(ctx, {});
  ctx.consumers.clear();  // as the engine does when another sink fails
}

}  // namespace
}  // namespace kiln
