#include <gtest/gtest.h>

#include <kiln/testing.h>

#include "support/plugins.h"

namespace kiln {
namespace {

using fakes::FakeContext;

const Stage& image_stage() {
  return test::load_stage("image");
}

Table params(const char* image) {
  return {{"image", Value{std::string(image)}}};
}

class FromImage : public ::testing::Test {
 protected:
  FromImage() { add("id-1", "1"); }
  void add(const char* id, const char* version) {
    Image image;
    image.id = id;
    image.name = "web";
    image.version = version;
    image.virtual_size = 3 * chunk_size;
    image.facts = {{"os.distro", "debian"},  {"arch", "x86_64"},         {"boot.firmware", "uefi"},
                   {"key", "of the parent"}, {"source.file", "web.vhd"}, {"parent", "grandparent"}};
    ctx.fake_catalog.images.push_back(image);
    ctx.fake_catalog.channels.emplace_back();
  }
  FakeContext ctx;
};

TEST_F(FromImage, GivesTheDiskAndWhatIsStillTrueOfIt) {
  image_stage().run_with(ctx, params("web:1"));
  ASSERT_NE(ctx.produced, nullptr);
  EXPECT_EQ(ctx.produced->size(), 3 * chunk_size);
  EXPECT_EQ(ctx.known_facts, (Facts{{"os.distro", "debian"},
                                    {"arch", "x86_64"},
                                    {"boot.firmware", "uefi"},
                                    {"parent", "id-1"},
                                    {"source.kind", "image"},
                                    {"source.image", "web:1"}}));
  EXPECT_EQ(ctx.summed_up, "web:1, 192.0 KiB");
}

TEST_F(FromImage, SaysThatItTakesTheSystemDiskOnly) {
  ctx.fake_catalog.images.back().parts = {{"data", "disk1", {}, chunk_size}};
  image_stage().run_with(ctx, params("web:1"));
  ASSERT_EQ(ctx.warnings.size(), 1u);
  EXPECT_EQ(ctx.warnings.front(), "only the system disk of web:1 is taken, without its 1 part");
}

TEST_F(FromImage, IsStillThereWhileTheReferenceMeansThatImage) {
  image_stage().run_with(ctx, params("web"));
  const auto there = [&](const char* reference) {
    return image_stage().still_there_with(params(reference), ctx.known_facts, ctx.fake_catalog);
  };
  EXPECT_TRUE(there("web"));
  add("id-2", "2");  // the newest now
  EXPECT_FALSE(there("web"));
  EXPECT_TRUE(there("web:1"));
  ctx.fake_catalog.images.clear();
  EXPECT_FALSE(there("web:1"));
}

TEST_F(FromImage, NamesTheImageThatIsNotThere) {
  try {
    image_stage().run_with(ctx, params("wob"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "there is no image \"wob\" to build from");
    EXPECT_EQ(error.failure(), Failure::invalid);
  }
  EXPECT_EQ(ctx.produced, nullptr);
}

TEST_F(FromImage, WantsAReference) {
  fakes::FakeCheck check(ctx.fake_formats);
  image_stage().check_with(params(""), check);
  ASSERT_EQ(check.problems.size(), 1U);
  EXPECT_EQ(check.problems[0].what, "\"image\" is empty");
}

}  // namespace
}  // namespace kiln
