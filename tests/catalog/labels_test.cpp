#include "catalog/labels.h"

#include <gmock/gmock.h>

#include "accounts.h"

namespace kiln {
namespace {

using test::error_of;
using test::far_away;
using test::long_ago;
using testing::ElementsAre;

class LabelsTest : public test::OnBothDatabases {
 protected:
  Labels labels() { return accounts.labels("alice"); }
  LocalCatalog& catalog() { return accounts.as("alice"); }
  std::vector<std::string> found(const ImageFilter& filter) { return test::names_of(labels().find(filter)); }
  void publish_versions(const std::string& channel = {}) {
    for (const char* image : {"web:1", "web:2", "web:3"}) accounts.publish("alice", image, {}, channel);
  }
  /// "version by actor", the newest first; "-" where the channel was removed.
  std::vector<std::string> history_for(const std::string& who, const std::string& name) {
    std::vector<std::string> out;
    for (const ChannelMove& move : accounts.labels(who).history(name, "stable"))
      out.push_back((move.image.empty() ? "-" : move.version) + " by " + move.actor);
    return out;
  }
};

TEST_P(LabelsTest, FiltersByEachField) {
  accounts.publish("alice", "web:1", {}, "stable", {{"os.distro", "debian"}, {"os.type", "linux"}});
  accounts.publish("alice", "db:1", {}, "", {{"os.distro", "freebsd"}, {"os.type", "bsd"}});
  labels().edit("db:1", {.add_tags = {"big"}, .properties = {{"team", "store"}}});
  accounts.life("alice").deprecate("web:1", long_ago, "", "");
  const std::vector<std::string> web{"alice/web:1"}, db{"alice/db:1"}, both{"alice/db:1", "alice/web:1"}, none;
  ImageFilter f;
  EXPECT_EQ(found(f), both);
  EXPECT_EQ(found({.name = "web"}), web);
  EXPECT_EQ(found({.owner = "bob"}), none);
  EXPECT_EQ(found({.owner = "alice"}), both);
  EXPECT_EQ(found({.channel = "stable"}), web);
  EXPECT_EQ(found({.tags = {"big"}}), db);
  EXPECT_EQ(found({.os = "debian"}), web);
  EXPECT_EQ(found({.os = "bsd"}), db);
  EXPECT_EQ(found({.state = "deprecated"}), web);
  EXPECT_EQ(found({.properties = {{"team", "store"}}}), db);
  EXPECT_EQ(found({.properties = {{"team", "shop"}}}), none);
  f.larger_than = chunk_size + 1;
  EXPECT_EQ(found(f), none);
  f.larger_than = chunk_size;
  EXPECT_EQ(found(f), both);
  f = {};
  f.smaller_than = chunk_size - 1;
  EXPECT_EQ(found(f), none);
  EXPECT_EQ(found({.newer_than = far_away}), none);
  EXPECT_EQ(found({.newer_than = long_ago, .older_than = far_away}), both);
  EXPECT_EQ(found({.older_than = long_ago}), none);
}

TEST_P(LabelsTest, WhatIsInTheTrashIsListedOnlyThere) {
  publish_versions();
  accounts.life("alice").trash("web:2", {}, far_away);
  EXPECT_THAT(found({}), ElementsAre("alice/web:3", "alice/web:1"));
  EXPECT_THAT(found({.trash = true}), ElementsAre("alice/web:2"));
}

TEST_P(LabelsTest, PromotesAndRemembersWho) {
  publish_versions();
  labels().promote("web:1", "stable");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:1");
  accounts.labels("operator").promote("alice/web:3", "stable");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:3");
  EXPECT_TRUE(catalog().show("web:1").channels.empty());
  EXPECT_THAT(history_for("alice", "web"), ElementsAre("3 by operator", "1 by alice"));
  EXPECT_THROW(labels().promote("web:1", "not/good"), Error);
  accounts.life("alice").revoke("web:2", long_ago, "");
  EXPECT_STREQ(error_of([&] { labels().promote("web:2", "stable"); }).what(),
               "image web:2 is revoked and cannot be promoted");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:3");
}

TEST_P(LabelsTest, RollsBackPastWhatIsOfNoUse) {
  publish_versions("stable");
  accounts.publish("alice", "web:4", {}, "stable");
  accounts.life("alice").revoke("web:3", long_ago, "");
  catalog().remove("web:2");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:1");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:1");
  EXPECT_EQ(history_for("alice", "web").front(), "1 by alice");
}

TEST_P(LabelsTest, RollsBackFromAVersionThatIsRevokedOrGone) {
  publish_versions("stable");
  accounts.life("alice").revoke("web:3", long_ago, "broken");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:2");
  // As an older kiln let it happen: the image goes, and the channel with it.
  accounts.records().change(catalog().show("web:2").image.id, {.trashed_at = long_ago, .purge_at = long_ago});
  accounts.records().purge_expired(now_moment());
  EXPECT_EQ(history_for("alice", "web").front(), "- by alice");
  EXPECT_THROW((void)catalog().show("web:stable"), Error);
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:1");
  const Error error = error_of([&] { labels().roll_back("web", "stable"); });
  EXPECT_STREQ(error.what(), "channel \"stable\" of image \"web\" pointed nowhere else that is still of use");
  EXPECT_EQ(error.hint(), "see its history: kiln image channel web stable");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:1");
}

TEST_P(LabelsTest, RollingBackTwiceGoesBackTwice) {
  publish_versions("stable");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:2");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:1") << "not to web:3, which was rolled back from";
  labels().promote("web:3", "stable");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:1") << "where it pointed before that";
  EXPECT_THROW(labels().roll_back("web", "stable"), Error);
  labels().promote("web:2", "stable");
  labels().promote("web:1", "stable");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:2") << "a promotion to an old one is no rollback";
}

TEST_P(LabelsTest, ARollbackPassesOverWhatWasRolledBackFrom) {
  publish_versions("stable");
  labels().roll_back("web", "stable");  // from the bad web:3 to web:2
  accounts.publish("alice", "web:4", {}, "stable");
  accounts.life("alice").revoke("web:2", long_ago, "");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:1");
}

TEST_P(LabelsTest, APromotionLooksAgainInItsTransaction) {
  const Image parent = accounts.publish("alice", "base:1");
  accounts.publish("alice", "web:1", {}, "stable");
  accounts.publish("alice", "web:2", {parent.id});
  const ImageEntry seen = catalog().show("web:2");
  accounts.life("alice").revoke("base:1", long_ago, "leaked");
  const Standing owner{Standing::Role::owner, true};
  EXPECT_STREQ(error_of([&] {
                 accounts.records().move_channel(seen, "stable", "alice",
                                                 [&](const ImageEntry& now) { require(Action::promote, owner, now); });
               }).what(),
               "image web:2 is revoked and cannot be promoted");
  catalog().remove("web:2");
  EXPECT_STREQ(error_of([&] { accounts.records().move_channel(seen, "stable", "alice"); }).what(),
               "image web:2 is not there any longer");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:1");
}

TEST_P(LabelsTest, AChannelEnds) {
  publish_versions("stable");
  labels().remove_channel("web", "stable");
  EXPECT_THROW((void)catalog().show("web:stable"), Error);
  EXPECT_EQ(history_for("alice", "web").front(), "- by alice");
  EXPECT_STREQ(error_of([&] { labels().remove_channel("web", "stable"); }).what(),
               "channel \"stable\" of image \"web\" points nowhere");
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:3") << "where it pointed before";
  accounts.share("alice", "web:3", "bob");
  EXPECT_EQ(error_of([&] { accounts.labels("bob").remove_channel("alice/web", "stable"); }).failure(),
            Failure::refused);
}

TEST_P(LabelsTest, AChannelAndAVersionHaveDifferentNames) {
  publish_versions("stable");
  EXPECT_STREQ(error_of([&] { labels().promote("web:2", "1"); }).what(),
               "image web has a version \"1\", so no channel can be called that");
  const Error error = error_of([&] { accounts.publish("alice", "web:stable"); });
  EXPECT_STREQ(error.what(), "image web has a channel \"stable\", so no version can be called that");
  EXPECT_EQ(error.hint(), "give another version; --channel stable points the channel at it");
  EXPECT_THROW(accounts.publish("alice", "web:4", {}, "2"), Error);
  EXPECT_THROW(accounts.publish("alice", "web:beta", {}, "beta"), Error);
  EXPECT_NO_THROW(accounts.publish("alice", "db:stable"));
  EXPECT_NO_THROW(accounts.publish("bob", "web:stable"));
  EXPECT_TRUE(catalog().show("web:2").channels.empty());
  // Also when the one came while the other was being published.
  const auto sink = catalog().publish({"web", "testing", "", chunk_size, {}});
  labels().promote("web:1", "testing");
  BlockSink* sinks[] = {sink.get()};
  pump(test::make_disk(chunk_size, 1), sinks);
  EXPECT_THROW(sink->finish(), Error);
  // A number of the day that is a channel is passed over.
  const std::string today = now_moment().substr(0, 10);
  labels().promote("web:1", today + ".1");
  EXPECT_EQ(accounts.publish("alice", "web").version, today + ".2");
}

TEST_P(LabelsTest, AMemberNeitherRollsBackNorLearnsOfOtherVersions) {
  publish_versions("stable");
  accounts.share("alice", "web:2", "bob");
  EXPECT_THAT(history_for("bob", "alice/web"), ElementsAre("2 by alice"));
  EXPECT_THROW(history_for("bob", "web"), Error);
  const Error error = error_of([&] { accounts.labels("bob").roll_back("alice/web", "stable"); });
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_STREQ(error_of([&] { accounts.labels("eve").history("alice/web", "stable"); }).what(),
               "there is no image \"alice/web\"");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:3");
}

TEST_P(LabelsTest, TagsPropertiesAndADescriptionAreEdited) {
  accounts.publish("alice", "web:1");
  labels().edit("web:1", {.add_tags = {"b", "a", "a"},
                          .remove_tags = {},
                          .properties = {{"team", "shop"}, {"tier", "1"}},
                          .description = "the \"shop\"\nä"});
  ImageEntry entry = labels().edit("web:1", {.add_tags = {"c"},
                                             .remove_tags = {"b", "none"},
                                             .properties = {{"tier", std::nullopt}, {"team", "store"}},
                                             .description = {}});
  EXPECT_THAT(entry.tags, ElementsAre("a", "c"));
  EXPECT_EQ(entry.properties, (std::map<std::string, std::string>{{"team", "store"}}));
  EXPECT_EQ(entry.description, "the \"shop\"\nä");
}

TEST_P(LabelsTest, WhatIsTooMuchChangesNothing) {
  accounts.publish("alice", "web:1");
  Labels::Edit edit;
  for (int i = 0; i < 128; ++i) {
    edit.add_tags.push_back("t" + std::to_string(i));
    edit.properties["p" + std::to_string(i)] = "v";
  }
  EXPECT_NO_THROW(labels().edit("web:1", edit));
  const auto try_edit = [&](const Labels::Edit& e) {
    return std::string(error_of([&] { labels().edit("web:1", e); }).what());
  };
  EXPECT_EQ(try_edit({{"one"}, {}, {}, {}}), "an image has at most 128 tags");
  EXPECT_EQ(try_edit({{}, {}, {{"one", "v"}}, {}}), "an image has at most 128 properties");
  EXPECT_EQ(try_edit({{}, {}, {{"p1", std::string(4097, 'x')}}, {}}),
            "the property's value has 4097 bytes, at most 4096 are kept");
  EXPECT_EQ(try_edit({{}, {"t1"}, {}, std::string(5000, 'x')}),
            "the description has 5000 bytes, at most 4096 are kept");
  EXPECT_EQ(try_edit({{}, {"t1"}, {{"one", "caf\xe9"}}, {}}), "the property's value is no UTF-8");
  EXPECT_EQ(try_edit({{}, {"t1"}, {}, "caf\xe9"}), "the description is no UTF-8");
  EXPECT_EQ(std::string(error_of([&] { labels().history("web", "\xff"); }).what()).substr(0, 8), "channel ");
  EXPECT_THROW(labels().edit("web:1", {{"a b"}, {"t1"}, {}, {}}), Error);
  EXPECT_EQ(catalog().show("web:1").tags.size(), 128u);
  // One goes, another comes.
  EXPECT_NO_THROW(labels().edit("web:1", {{"one"}, {"t1"}, {{"p1", std::nullopt}, {"one", "v"}}, {}}));
}

KILN_ON_BOTH_DATABASES(LabelsTest);

}  // namespace
}  // namespace kiln
