#include <gtest/gtest.h>

#include <kiln/testing.h>

#include "support/plugins.h"

namespace kiln {
namespace {

using fakes::FakeContext;

const Stage& publish() {
  return test::load_stage("publish");
}

Table params(const char* image, const char* version = "") {
  return {{"image", Value{std::string(image)}}, {"version", Value{std::string(version)}}};
}

TEST(Publish, StoresTheDiskWithTheFactsAsTheyAreAtTheEnd) {
  FakeContext ctx;
  const fakes::MemoryDisk disk("bytes", 4 * chunk_size);
  ctx.size = disk.size();
  ctx.known_facts = {{"arch", "x86_64"}, {"written.web.vhd", "1:2:3"}};
  publish().run_with(ctx, params("web"));
  ctx.known_facts["checksum.sha256"] = "late";  // by a stage that shares the pass
  ctx.pass(disk);
  ASSERT_EQ(ctx.fake_catalog.images.size(), 1U);
  const Image& image = ctx.fake_catalog.images[0];
  EXPECT_EQ(image.name, "web");
  EXPECT_EQ(image.virtual_size, 4 * chunk_size);
  EXPECT_EQ(image.facts, (Facts{{"arch", "x86_64"}, {"checksum.sha256", "late"}}));
  EXPECT_EQ(ctx.known_facts["image.reference"], "web:2026-01-01.1");
  EXPECT_EQ(ctx.known_facts["image.id"], "image-1");
  EXPECT_EQ(ctx.summed_up, "web:2026-01-01.1, 1 new chunks of 1, 64.0 KiB stored");
}

TEST(Publish, PublishesThePartsThatAStageBeforeItHasTaken) {
  FakeContext ctx;
  publish().run_with(ctx, params("web"));
  std::shared_ptr<PartSink> part = ctx.catalog().store(3 * chunk_size);
  part->finish();
  ctx.known_parts = {{"disk", "disk1", part}};
  ctx.pass(fakes::MemoryDisk("bytes"));
  const Image& image = ctx.fake_catalog.images.at(0);
  ASSERT_EQ(image.parts.size(), 1U);
  EXPECT_EQ(image.parts[0].name, "disk1");
  EXPECT_EQ(image.parts[0].virtual_size, 3 * chunk_size);
}

TEST(Publish, SaysThatNothingNewWasStored) {
  FakeContext ctx;
  const fakes::MemoryDisk disk("bytes", chunk_size);
  ctx.size = disk.size();
  for (int i = 0; i < 2; ++i) {
    publish().run_with(ctx, params("web"));
    ctx.pass(disk);
  }
  EXPECT_EQ(ctx.summed_up, "web:2026-01-01.2, 0 new chunks of 1, 0 B stored");
}

TEST(Publish, IsStillThereWhileTheCatalogHasThatVeryImage) {
  FakeContext ctx;
  publish().run_with(ctx, params("web", "7"));
  ctx.pass(fakes::MemoryDisk("bytes"));
  EXPECT_TRUE(publish().still_there_with(params("web", "7"), ctx.known_facts, ctx.fake_catalog));
  ctx.fake_catalog.images[0].id = "another";
  EXPECT_FALSE(publish().still_there_with(params("web", "7"), ctx.known_facts, ctx.fake_catalog));
  ctx.fake_catalog.images.clear();
  EXPECT_FALSE(publish().still_there_with(params("web", "7"), ctx.known_facts, ctx.fake_catalog));
}

TEST(Publish, RefusesNamesThatWouldNotBeOne) {
  FakeContext ctx;
  for (const char* name : {"", "a:b", "a b", "../x", "-x", ".hidden", "ü"}) {
    fakes::FakeCheck check(ctx.fake_formats);
    publish().check_with(params(name), check);
    ASSERT_EQ(check.problems.size(), 1U) << name;
    EXPECT_EQ(check.problems[0].what, '"' + std::string(name) + "\" cannot be a name of the catalog");
  }
}

}  // namespace
}  // namespace kiln
