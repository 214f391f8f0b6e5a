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
  catalog().remove("web:2");
  EXPECT_THROW((void)catalog().show("web:stable"), Error);
  EXPECT_EQ(labels().roll_back("web", "stable").reference(), "web:1");
  const Error error = error_of([&] { labels().roll_back("web", "stable"); });
  EXPECT_STREQ(error.what(), "channel \"stable\" of image \"web\" pointed nowhere else that is still of use");
  EXPECT_EQ(error.hint(), "see its history: kiln image channel web stable");
  EXPECT_EQ(catalog().show("web:stable").reference(), "web:1");
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
  EXPECT_THROW(labels().edit("web:1", {{"a b"}, {"t1"}, {}, {}}), Error);
  EXPECT_EQ(catalog().show("web:1").tags.size(), 128u);
  // One goes, another comes.
  EXPECT_NO_THROW(labels().edit("web:1", {{"one"}, {"t1"}, {{"p1", std::nullopt}, {"one", "v"}}, {}}));
}

KILN_ON_BOTH_DATABASES(LabelsTest);

}  // namespace
}  // namespace kiln
