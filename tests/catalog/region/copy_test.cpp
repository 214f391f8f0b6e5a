#include "catalog/region/copy.h"

#include <thread>

#include "catalog/region/regions.h"

namespace kiln {
namespace {

using test::error_of;
using test::RegionKind;
using testing::ElementsAre;
using testing::IsEmpty;

class CopyTest : public test::Regions {
 protected:
  Image publish_with_parts() {
    LocalCatalog catalog(folder / "home", {"alice", false});
    std::vector<NewPart> parts{{"disk", "disk1", test::store_part(catalog, test::make_disk(size, 7))},
                               {"vars", "vars", test::store_part(catalog, test::make_disk(540 << 10, 8))}};
    return test::publish(catalog, test::make_disk(size, 1), {"multi", "1", "", 0, {}}, std::move(parts)).image;
  }
};

TEST_P(CopyTest, ThereAndBackIsTheSameDisk) {
  const Image image = publish("1");
  const auto there = west();
  const CopyReport report = copy(home(), "web", *there);
  EXPECT_EQ(report.region, "west");
  EXPECT_EQ(report.moved_chunks, report.all_chunks);
  EXPECT_GT(report.moved_bytes, 0u);
  EXPECT_THAT(names(*there), ElementsAre("alice/web:1"));
  EXPECT_EQ(there->images()[0].image.id, image.id);
  EXPECT_EQ(there->images()[0].region, "west");

  FolderRegion other = home("alice", "other");
  const CopyReport back = copy(*there, "web:1", other);
  EXPECT_EQ(back.moved_chunks, report.moved_chunks);
  EXPECT_EQ(other.images()[0].image.content, image.content);
  EXPECT_TRUE(test::same_content(*other.read(other.images()[0].image), test::make_disk(size, 1)));
  EXPECT_TRUE(LocalCatalog(folder / "other").verify().damaged.empty());
}

TEST_P(CopyTest, OnlyWhatDiffersIsMoved) {
  publish("1");
  publish("2");
  const auto there = west();
  const CopyReport first = copy(home(), "web:1", *there);
  const CopyReport second = copy(home(), "web:2", *there);
  EXPECT_EQ(second.moved_chunks, 1u);
  EXPECT_EQ(second.all_chunks, first.all_chunks);
  EXPECT_LE(second.moved_bytes, chunk_size + 1024);
  EXPECT_THAT(names(*there), ElementsAre("alice/web:2", "alice/web:1"));
}

TEST_P(CopyTest, PartsComeAlong) {
  const Image image = publish_with_parts();
  const auto there = west();
  const CopyReport report = copy(home(), "multi", *there);
  EXPECT_EQ(report.moved_chunks, report.all_chunks);
  const ImageEntry arrived = there->images().at(0);
  ASSERT_EQ(arrived.image.parts.size(), 2u);
  EXPECT_EQ(arrived.image.parts[1].role, "vars");
  EXPECT_TRUE(copy(home(), "multi", *there).was_there);

  FolderRegion other = home("alice", "other");
  std::uint64_t done = 0, total = 0;
  const CopyOptions options{.progress = [&](std::uint64_t d, std::uint64_t t) {
    EXPECT_GE(d, done);
    done = d, total = t;
  }};
  const CopyReport back = copy_image(*there, there->resolve("multi", Action::copy), other, options);
  EXPECT_EQ(back.moved_chunks, report.moved_chunks);
  EXPECT_EQ(done, total);
  LocalCatalog catalog(folder / "other", {"operator", true});
  EXPECT_TRUE(catalog.verify().damaged.empty());
  EXPECT_TRUE(catalog.view().store().leases.list().empty());
  const Image last = catalog.show("alice/multi:1").image;
  EXPECT_EQ(last.total_size(), image.total_size());
  EXPECT_TRUE(test::same_content(*catalog.read(last), test::make_disk(size, 1)));
  EXPECT_TRUE(test::same_content(*catalog.read(disk_of(last, last.parts[0])), test::make_disk(size, 7)));
  EXPECT_TRUE(test::same_content(*catalog.read(disk_of(last, last.parts[1])), test::make_disk(540 << 10, 8)));
}

TEST_P(CopyTest, AnImageThatDiffersInAPartIsAnotherOne) {
  publish_with_parts();
  const auto there = west();
  copy(home(), "multi", *there);
  LocalCatalog catalog(folder / "third", {"alice", false});
  test::publish(catalog, test::make_disk(size, 1), {"multi", "1", "", 0, {}});
  const FolderRegion third = home("alice", "third");
  EXPECT_THAT(error_of([&] { copy(third, "multi", *there); }).what(), testing::HasSubstr("is another one"));
}

TEST_P(CopyTest, WhatIsThereIsNotCopiedAgain) {
  publish("1");
  const auto there = west();
  copy(home(), "web", *there);
  const CopyReport again = copy(home(), "web", *there);
  EXPECT_TRUE(again.was_there);
  EXPECT_EQ(again.moved_chunks, 0u);
  EXPECT_EQ(again.moved_bytes, 0u);
  EXPECT_THAT(names(*there), ElementsAre("alice/web:1"));
}

TEST_P(CopyTest, TheSameContentUnderAnotherNameMovesNothing) {
  publish("1");
  const auto there = west();
  copy(home(), "web", *there);
  LocalCatalog catalog(folder / "home", {"alice", false});
  test::publish(catalog, test::make_disk(size, 1), {"copy", "1", "", 0, {}});
  const CopyReport report = copy(home(), "copy", *there);
  EXPECT_FALSE(report.was_there);
  EXPECT_EQ(report.moved_chunks, 0u);
  EXPECT_THAT(names(*there), ElementsAre("alice/copy:1", "alice/web:1"));
}

TEST_P(CopyTest, LabelsAndDatesComeAlongAndSharingDoesNot) {
  const Image parent = publish("1", "stable");
  test::Accounts accounts(folder / "home");
  const Image child = accounts.publish("alice", "child:1", {parent.id}, {}, {{"boot.firmware", "uefi"}});
  accounts.labels("alice").edit("child", {{"prod"}, {}, {{"team", "web"}}, "for the shop"});
  accounts.life("alice").deprecate("child", test::far_away, {}, "web:1");
  accounts.life("alice").protect("child", true);
  accounts.share("alice", "child", "bob");
  accounts.life("operator").open_up("alice/child", true);

  const auto there = west();
  const CopyReport report = copy(home(), "child:1", *there);
  EXPECT_EQ(report.image.image.id, child.id);
  const ImageEntry entry = there->resolve("child:1", Action::see);
  EXPECT_EQ(entry.description, "for the shop");
  EXPECT_THAT(entry.tags, ElementsAre("prod"));
  EXPECT_EQ(entry.properties.at("team"), "web");
  EXPECT_EQ(entry.life.deprecated_at, test::far_away);
  EXPECT_EQ(entry.life.replacement, "web:1");
  EXPECT_THAT(entry.parents, ElementsAre(parent.id));
  EXPECT_EQ(entry.image.facts.at("boot.firmware"), "uefi");
  EXPECT_THAT(entry.channels, IsEmpty());
  EXPECT_FALSE(entry.is_public);
  EXPECT_FALSE(entry.is_protected);
  EXPECT_THAT(west("bob")->images(), IsEmpty());
}

TEST_P(CopyTest, AMemberCopiesOnlyWhereThatWasGranted) {
  publish("1");
  test::Accounts accounts(folder / "home");
  accounts.share("alice", "web", "bob");
  const auto there = west("bob");
  EXPECT_EQ(error_of([&] { copy(home("bob"), "alice/web", *there); }).failure(), Failure::refused);
  accounts.share("alice", "web", "bob", true, true);
  const CopyReport report = copy(home("bob"), "alice/web", *there);
  EXPECT_THAT(names(*there), ElementsAre("bob/web:1"));
  EXPECT_THAT(names(*west("alice")), IsEmpty());
  FolderRegion bobs = home("bob");
  EXPECT_EQ(copy(bobs, "alice/web", bobs).moved_chunks, 0u);  // into one's own images
  EXPECT_THAT(names(bobs), ElementsAre("alice/web:1", "bob/web:1"));
  EXPECT_NE(report.image.image.id, home().images()[0].image.id);
}

TEST_P(CopyTest, ACopyOfAnothersImageHasItForAParentAndIsRevokedWithIt) {
  const Image image = publish("1");
  test::Accounts accounts(folder / "home");
  accounts.share("alice", "web", "bob", true, true);
  FolderRegion bobs = home("bob");
  copy(bobs, "alice/web", bobs);
  const ImageEntry made = bobs.resolve("bob/web:1", Action::see);
  EXPECT_THAT(made.parents, ElementsAre(image.id));
  EXPECT_EQ(made.image.facts.at("source.copy"), "alice/web:1");
  accounts.life("alice").revoke("web", test::long_ago, "a hole");
  EXPECT_EQ(bobs.resolve("bob/web:1", Action::see).state(), ImageState::revoked);
}

TEST_P(CopyTest, WhatAnAncestorIsToBeRevokedAtTheCopyIsToo) {
  const Image parent = publish("1");
  test::Accounts accounts(folder / "home");
  accounts.publish("alice", "child:1", {parent.id});
  accounts.life("alice").revoke("web", test::far_away, "its key ends");
  const auto there = west();
  copy(home(), "child:1", *there);
  const ImageEntry entry = there->resolve("child:1", Action::see);
  EXPECT_EQ(entry.life.revoked_at, test::far_away);
  EXPECT_EQ(entry.life.reason, "its key ends");
}

TEST_P(CopyTest, CopyingAgainBringsTheDatesOfTheOriginal) {
  const bool can = GetParam() == RegionKind::folder;  // documents in a bucket never change
  publish("1");
  test::Accounts accounts(folder / "home");
  const auto there = west();
  copy(home(), "web:1", *there);
  accounts.life("alice").deprecate("web:1", test::long_ago, {}, {});
  const CopyReport report = copy(home(), "web:1", *there);
  EXPECT_TRUE(report.was_there);
  EXPECT_EQ(report.state_changed, can);
  EXPECT_EQ(there->resolve("web:1", Action::see).state(), can ? ImageState::deprecated : ImageState::available);
  EXPECT_FALSE(copy(home(), "web:1", *there).state_changed);
}

TEST_P(CopyTest, WhatIsRevokedIsNotCopied) {
  publish("1");
  test::Accounts(folder / "home").life("alice").revoke("web", test::long_ago, "a key in it");
  const auto there = west();
  const Error error = error_of([&] { copy(home(), "web:1", *there); });
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_STREQ(error.what(), "image web:1 is revoked and cannot be copied");
  EXPECT_THAT(names(*there), IsEmpty());
}

TEST_P(CopyTest, AnotherImageOfThatVersionIsNotReplaced) {
  publish("1");
  const auto there = west();
  copy(home(), "web", *there);
  LocalCatalog other(folder / "other", {"alice", false});
  test::publish(other, test::make_disk(size, 7), {"web", "1", "", 0, {}});
  const Error error = error_of([&] { copy(home("alice", "other"), "web", *there); });
  EXPECT_EQ(error.failure(), Failure::invalid);
  EXPECT_STREQ(error.what(), "image web:1 of region \"west\" is another one: its content differs");
}

TEST_P(CopyTest, OneThatIsStoppedLeavesNoImage) {
  publish("1");
  const auto there = west();
  std::stop_source stop;
  stop.request_stop();
  const FolderRegion from = home();
  const Error error =
      error_of([&] { copy_image(from, from.resolve("web", Action::copy), *there, {.stop = stop.get_token()}); });
  EXPECT_EQ(error.failure(), Failure::cancelled);
  EXPECT_THAT(names(*west()), IsEmpty());
}

TEST_P(CopyTest, TwoAtOnceGiveOneImage) {
  publish("1");
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { EXPECT_NO_THROW(copy(home(), "web", *west())); });
  threads.clear();
  const auto there = west();
  EXPECT_THAT(names(*there), ElementsAre("alice/web:1"));
  EXPECT_TRUE(test::same_content(*there->read(there->images()[0].image), test::make_disk(size, 1)));
}

TEST_P(CopyTest, SyncMovesTheChannelAndASecondRunMovesNothing) {
  publish("1", "stable");
  const auto there = west();
  const CopyReport first = sync_channel(home(), "web:stable", *there);
  EXPECT_TRUE(first.channel_moved);
  EXPECT_THAT(there->resolve("web:stable", Action::see).image.version, "1");

  publish("2", "stable");
  const CopyReport second = sync_channel(home(), "web:stable", *there);
  EXPECT_EQ(second.moved_chunks, 1u);
  EXPECT_EQ(there->resolve("web:stable", Action::see).image.version, "2");
  const CopyReport third = sync_channel(home(), "web:stable", *there);
  EXPECT_TRUE(third.was_there);
  EXPECT_FALSE(third.channel_moved);

  test::Accounts(folder / "home").labels("alice").promote("web:1", "stable");
  const CopyReport back = sync_channel(home(), "web:stable", *there);
  EXPECT_TRUE(back.was_there && back.channel_moved);
  EXPECT_EQ(there->resolve("web:stable", Action::see).image.version, "1");
}

TEST_P(CopyTest, SyncWantsAChannel) {
  publish("1", "stable");
  const auto there = west();
  const Error error = error_of([&] { sync_channel(home(), "web:1", *there); });
  EXPECT_STREQ(error.what(), "\"web:1\" names no channel");
}

INSTANTIATE_TEST_SUITE_P(Kinds, CopyTest, testing::Values(RegionKind::folder, RegionKind::bucket),
                         [](const auto& with) { return with.param == RegionKind::folder ? "Folder" : "Bucket"; });

}  // namespace
}  // namespace kiln
