#include <gmock/gmock.h>

#include "catalog/pack_file.h"
#include "disk/manifest.h"
#include "fixture.h"

namespace kiln {
namespace {

using test::make_disk;
using test::publish;
constexpr std::uint64_t MiB = 1 << 20;

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() {
    auto disk = make_disk(2 * MiB, 1);
    publish(catalog, disk, {"a", "1", "", 0, {}});
    pack = test::only_file(catalog.folder() / "packs");
    disk.flip(disk.size() - 1);
    publish(catalog, disk, {"b", "1", "", 0, {}});
    publish(catalog, make_disk(MiB, 2), {"c", "1", "", 0, {}});
  }
  test::TempDir folder;
  LocalCatalog catalog{folder / "catalog"};
  std::filesystem::path pack;  // of a, most of it shared with b
};

TEST_F(VerifyTest, AWholeStoreHasNoDamage) {
  std::uint64_t done = 0, total = 0;
  VerifyOptions options;
  options.progress = [&](std::uint64_t d, std::uint64_t t) { done = d, total = t; };
  const VerifyReport report = catalog.verify({}, options);
  EXPECT_TRUE(report.damaged.empty());
  EXPECT_EQ(report.chunks, catalog.statistics().chunks);
  EXPECT_EQ(done, report.bytes);
  EXPECT_EQ(total, report.bytes);
}

TEST_F(VerifyTest, ADamagedChunkIsNamedWithTheImagesItHarms) {
  const PackEntry entry = PackFile(pack).entries()[1];
  test::flip_byte(pack, entry.offset + record_header_size + entry.stored / 2);
  const VerifyReport report = catalog.verify();
  ASSERT_EQ(report.damaged.size(), 1u);
  EXPECT_EQ(report.damaged[0].digest, entry.digest);
  EXPECT_EQ(report.damaged[0].file, pack);
  EXPECT_EQ(report.damaged[0].offset, entry.offset);
  EXPECT_EQ(report.damaged[0].reason, "its sha256 does not match");
  EXPECT_THAT(report.damaged[0].images, testing::ElementsAre("a:1", "b:1"));
  EXPECT_EQ(catalog.verify("b").damaged.size(), 1u);
  EXPECT_TRUE(catalog.verify("c").damaged.empty());
}

TEST_F(VerifyTest, EveryByteThatThePackHasIsLookedAt) {
  const auto size = std::filesystem::file_size(pack);
  for (const std::uint64_t at : {std::uint64_t{3}, std::uint64_t{20}, size - 38, size - 60, size - 5, size - 200}) {
    test::flip_byte(pack, at);
    const VerifyReport report = catalog.verify();
    EXPECT_FALSE(report.damaged.empty()) << at;
    test::flip_byte(pack, at);
    EXPECT_TRUE(catalog.verify().damaged.empty());
  }
}

TEST_F(VerifyTest, TheManifestOfAnotherDiskIsNotHandedOut) {
  const auto file = [&](const char* name) {
    return catalog.folder() / "disks" / (to_hex(catalog.find(name)->content) + ".manifest");
  };
  std::filesystem::copy_file(file("a"), file("c"), std::filesystem::copy_options::overwrite_existing);
  const Image image = *catalog.find("c");
  EXPECT_THAT(test::error_of([&] { (void)catalog.open(image); }).what(), testing::HasSubstr("describes another disk"));
  EXPECT_THAT(test::error_of([&] { (void)catalog.manifest(image); }).what(),
              testing::HasSubstr("describes another disk"));
  EXPECT_FALSE(catalog.verify("c").damaged.empty());
}

TEST_F(VerifyTest, ReadingDamageIsAnErrorAndTheRestIsStillRead) {
  const PackEntry entry = PackFile(pack).entries()[0];
  test::flip_byte(pack, entry.offset + record_header_size);
  const auto reader = catalog.open(*catalog.find("a"));
  std::vector<std::byte> some(512);
  const Error error = test::error_of([&] { reader->read(0, some); });
  EXPECT_THAT(error.what(), testing::StartsWith("chunk sha256:" + to_hex(entry.digest) + " is damaged"));
  EXPECT_NO_THROW(reader->read(chunk_size, some));
}

TEST_F(VerifyTest, AMissingPackHarmsItsImages) {
  std::filesystem::remove(pack);
  const VerifyReport report = catalog.verify();
  ASSERT_FALSE(report.damaged.empty());
  const auto whole = std::ranges::find(report.damaged, pack, &DamagedChunk::file);
  ASSERT_NE(whole, report.damaged.end());
  EXPECT_THAT(whole->images, testing::ElementsAre("a:1", "b:1"));
  EXPECT_THROW(catalog.open(*catalog.find("a")), Error);
  EXPECT_TRUE(catalog.verify("c").damaged.empty());
}

TEST_F(VerifyTest, ACutPackIsSeen) {
  test::cut_file(pack, std::filesystem::file_size(pack) / 2);
  const VerifyReport report = catalog.verify();
  EXPECT_GT(report.damaged.size(), 1u);
  for (const DamagedChunk& chunk : report.damaged) EXPECT_THAT(chunk.images, testing::Contains("a:1"));
}

TEST_F(VerifyTest, ADamagedManifestIsSeen) {
  const Image image = *catalog.find("c");
  const auto manifest = catalog.folder() / "disks" / (to_hex(image.content) + ".manifest");
  test::flip_byte(manifest, 80);
  const VerifyReport report = catalog.verify("c");
  ASSERT_EQ(report.damaged.size(), 1u);
  EXPECT_EQ(report.damaged[0].file, manifest);
  EXPECT_THAT(report.damaged[0].images, testing::ElementsAre("c:1"));
  EXPECT_THROW(catalog.open(image), Error);
}

TEST_F(VerifyTest, ADamagedIndexHarmsNobodyButIsNamed) {
  test::flip_byte(pack, std::filesystem::file_size(pack) - 1);
  const VerifyReport report = catalog.verify();
  ASSERT_EQ(report.damaged.size(), 1u);
  EXPECT_EQ(report.damaged[0].reason, "the pack's header or index is damaged; its records were read one by one");
  EXPECT_TRUE(test::same_content(*catalog.open(*catalog.find("a")), make_disk(2 * MiB, 1)));
}

TEST_F(VerifyTest, StopEndsIt) {
  std::stop_source stop;
  stop.request_stop();
  VerifyOptions options;
  options.stop = stop.get_token();
  EXPECT_EQ(test::error_of([&] { catalog.verify({}, options); }).failure(), Failure::cancelled);
}

}  // namespace
}  // namespace kiln
