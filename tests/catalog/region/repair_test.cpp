#include "catalog/region/repair.h"

#include "catalog/pack_file.h"
#include "catalog/region/regions.h"

namespace kiln {
namespace {

using test::error_of;
using test::RegionKind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// web:1 and web:2 in the home, the first of them in the region, too.
class RepairTest : public test::Regions {
 protected:
  void SetUp() override {
    publish("1");
    pack = test::only_file(folder / "home" / "packs");
    publish("2");
    const auto there = west();
    copy(home(), "web:1", *there);
  }
  /// Damages the n-th chunk of the first pack.
  void flip(std::size_t n) const { test::flip_byte(pack, PackFile(pack).entries()[n].offset + record_header_size + 3); }
  void expect_whole() {
    EXPECT_THAT(operators.verify().damaged, IsEmpty());
    test::MemoryDisk disk = test::make_disk(size, 1);
    EXPECT_TRUE(test::same_content(*operators.read(operators.show("alice/web:1").image), disk));
    disk.flip(size / 2);
    EXPECT_TRUE(test::same_content(*operators.read(operators.show("alice/web:2").image), disk));
  }
  std::filesystem::path pack;
  LocalCatalog operators{folder / "home", {"operator", true}};
};

TEST_P(RepairTest, NothingToMendChangesNothing) {
  const auto before = test::files_in(folder / "home" / "packs");
  EXPECT_EQ(repair(operators, {}, *west()).damaged, 0u);
  EXPECT_EQ(test::files_in(folder / "home" / "packs"), before);
}

TEST_P(RepairTest, AFlippedByteIsMendedForEveryImageThatReadsIt) {
  flip(2);
  flip(5);
  EXPECT_THAT(operators.verify().damaged, SizeIs(2));
  const RepairReport report = repair(operators, {}, *west());
  EXPECT_EQ(report.damaged, 2u);
  EXPECT_EQ(report.fetched_chunks, 2u);
  EXPECT_EQ(report.new_packs, 1u);
  EXPECT_THAT(report.left, IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(pack));
  EXPECT_THAT(test::files_in(folder / "home" / "staging"), IsEmpty());
  expect_whole();
  EXPECT_THAT(test::files_in(folder / "home" / "damaged"), IsEmpty());
}

TEST_P(RepairTest, APartIsMended) {
  const auto part = test::store_part(operators, test::make_disk(size, 7));
  test::publish(operators, test::make_disk(size, 8), {"multi", "1", "", 0, {}}, {{"disk", "disk1", part}});
  const auto there = west("operator");
  copy(home("operator"), "multi", *there);
  const Image image = operators.show("multi").image;
  const auto manifest = folder / "home/disks" / (to_hex(image.parts[0].content) + ".manifest");
  std::filesystem::remove(manifest);
  const auto packs = operators.view().store().records.packs_of(image.parts[0].content).value();
  std::filesystem::remove(folder / "home/packs" / (packs.at(0) + ".pack"));
  const RepairReport report = repair(operators, {}, *there);
  EXPECT_THAT(report.left, IsEmpty());
  EXPECT_THAT(operators.verify().damaged, IsEmpty());
  EXPECT_TRUE(test::same_content(*operators.read(disk_of(image, image.parts[0])), test::make_disk(size, 7)));
}

TEST_P(RepairTest, APackThatGotLostIsFetched) {
  std::filesystem::remove(pack);
  const RepairReport report = repair(operators, {}, *west());
  EXPECT_EQ(report.fetched_chunks, west()->manifest(west()->images()[0].image).entries().size());
  EXPECT_THAT(report.left, IsEmpty());
  expect_whole();
}

TEST_P(RepairTest, ADamagedManifestIsFetched) {
  const Image image = operators.show("alice/web:1").image;
  test::flip_byte(folder / "home" / "disks" / (to_hex(image.content) + ".manifest"), 90);
  const RepairReport report = repair(operators, {}, *west());
  EXPECT_EQ(report.manifests, 1u);
  EXPECT_THAT(report.left, IsEmpty());
  expect_whole();
}

TEST_P(RepairTest, WhatTheRegionLacksIsLeftAsItWasAndSaid) {
  flip(2);
  const auto packs = test::files_in(folder / "home" / "packs");
  FolderRegion empty = home("alice", "empty");
  const RepairReport report = repair(operators, {}, empty);
  ASSERT_THAT(report.left, SizeIs(1));
  EXPECT_THAT(report.left[0], HasSubstr("has no chunk sha256:"));
  EXPECT_EQ(report.new_packs, 0u);
  EXPECT_EQ(test::files_in(folder / "home" / "packs"), packs);
  EXPECT_THAT(test::files_in(folder / "home" / "staging"), IsEmpty());
  EXPECT_THAT(operators.verify().damaged, SizeIs(1));
}

TEST_P(RepairTest, OneImageIsItsKeepersToMend) {
  flip(2);
  test::Accounts(folder / "home").share("alice", "web:1", "bob");
  LocalCatalog bobs(folder / "home", {"bob", false});
  EXPECT_EQ(error_of([&] { repair(bobs, "alice/web:1", *west("bob")); }).failure(), Failure::refused);
  LocalCatalog alices(folder / "home", {"alice", false});
  EXPECT_EQ(error_of([&] { repair(alices, {}, *west()); }).failure(), Failure::refused);
  EXPECT_EQ(repair(alices, "web:2", *west()).fetched_chunks, 1u);
  expect_whole();
}

TEST_P(RepairTest, PublishingCountsNoLongerOnWhatIsKnownToBeDamaged) {
  flip(2);
  LocalCatalog alices(folder / "home", {"alice", false});
  EXPECT_THAT(alices.verify("web:1").damaged, SizeIs(1));
  const auto again = test::publish(alices, test::make_disk(size, 1), {"web", "3", "", 0, {}});
  EXPECT_EQ(again.new_chunks, again.pass.data_bytes / chunk_size);
  EXPECT_THAT(alices.verify("web:3").damaged, IsEmpty());
  EXPECT_THAT(alices.verify("web:1").damaged, IsEmpty());  // the same content
  EXPECT_THAT(alices.verify("web:2").damaged, SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(Kinds, RepairTest, testing::Values(RegionKind::folder, RegionKind::bucket),
                         [](const auto& with) { return with.param == RegionKind::folder ? "Folder" : "Bucket"; });

}  // namespace
}  // namespace kiln
