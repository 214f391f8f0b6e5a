#include "catalog/retention.h"

#include <gmock/gmock.h>

#include <chrono>

#include "accounts.h"

namespace kiln {
namespace {

using test::far_away;
using test::long_ago;
using testing::ElementsAre;

class RetentionTest : public test::OnBothDatabases {
 protected:
  void publish(const std::vector<const char*>& versions) {
    for (const char* version : versions) accounts.publish("alice", std::string("web:") + version);
  }
  CatalogView view() { return accounts.as("alice").view(); }
  Life life() { return accounts.life("alice"); }
  std::string id(const std::string& reference) { return accounts.as("alice").show(reference).image.id; }
  std::string state(const std::string& reference) {
    return std::string(to_text(accounts.as("alice").show(reference).state()));
  }
  std::vector<Verdict> judge(std::size_t keep) { return Retention(view(), users_).judge("web", KeepRule(keep)); }
  std::vector<ImageEntry> carry_out(const std::vector<Verdict>& verdicts) {
    return Retention(view(), users_).carry_out(verdicts, parse_moment("+7d"));
  }
  static std::vector<std::string> going(const std::vector<Verdict>& verdicts) {
    std::vector<std::string> out;
    for (const Verdict& v : verdicts)
      if (v.goes) out.push_back(v.entry.image.version);
    return out;
  }

  Users users_ = [](const ImageEntry&) { return std::vector<std::string>{}; };
};

TEST_P(RetentionTest, KeepsTheNewest) {
  publish({"1", "2", "3", "4"});
  accounts.publish("alice", "other:1");
  EXPECT_THAT(going(judge(2)), ElementsAre("2", "1"));
  EXPECT_THAT(going(judge(9)), ElementsAre());
  EXPECT_EQ(judge(2)[1].why, "one of the newest 2");
  EXPECT_EQ(judge(2)[3].why, "not among the newest 2, and nothing needs it");
  EXPECT_EQ(test::error_of([&] { (void)Retention(view(), users_).judge("wbe", KeepRule(1)); }).failure(),
            Failure::invalid);
}

TEST_P(RetentionTest, WhatCannotBeUsedTakesNobodysPlace) {
  publish({"1", "2", "3", "4", "5", "6"});
  for (const char* revoked : {"web:6", "web:4"}) life().revoke(revoked, long_ago, "leaked");
  life().deprecate("web:3", long_ago, "", "");
  const auto verdicts = judge(2);
  EXPECT_THAT(going(verdicts), ElementsAre("2", "1"));
  EXPECT_EQ(verdicts[0].why, "not older than the newest 2 that can be used");
  EXPECT_EQ(verdicts[3].why, "one of the newest 2") << "it is deprecated, and can be used";
  for (const char* revoked : {"web:5", "web:3", "web:2"}) life().revoke(revoked, long_ago, "leaked");
  EXPECT_THAT(going(judge(3)), ElementsAre()) << "web:1 is the only one of use";
}

TEST_P(RetentionTest, TheLastAvailableOneIsNeverGivenUp) {
  publish({"1", "2", "3"});
  EXPECT_THAT(going(judge(0)), ElementsAre("2", "1"));
  EXPECT_EQ(judge(0)[0].why, "the newest that can be used");
  for (const char* old : {"web:3", "web:2"}) life().deprecate(old, long_ago, "", "");
  EXPECT_THAT(going(judge(1)), ElementsAre("2")) << "web:1 is what web means";
  life().deprecate("web:1", long_ago, "", "");
  EXPECT_THAT(going(judge(0)), ElementsAre("2", "1"));
  for (const char* old : {"web:3", "web:2", "web:1"}) life().revoke(old, long_ago, "leaked");
  EXPECT_THAT(going(judge(0)), ElementsAre("3", "2", "1"));
}

TEST_P(RetentionTest, SaysWhyAnOldOneStays) {
  publish({"1", "2", "3", "4", "5", "6", "7", "8"});
  life().protect("web:1", true);
  accounts.labels("alice").promote("web:2", "stable");
  accounts.sharing("alice").offer("web:3", {"bob"}, false);
  accounts.publish("alice", "child:1", {id("web:4")});
  accounts.life("operator").open_up("alice/web:8", true);
  accounts.publish("alice", "web:9");
  users_ = [](const ImageEntry& e) {
    return e.image.version == "5" ? std::vector<std::string>{"web1"} : std::vector<std::string>{};
  };
  const auto verdicts = judge(1);
  EXPECT_THAT(going(verdicts), ElementsAre("7", "6"));
  EXPECT_EQ(verdicts[1].why, "it is public: every account may use it");
  EXPECT_EQ(verdicts[4].why, "instance web1 runs from it");
  EXPECT_EQ(verdicts[5].why, "child:1 was built from it");
  EXPECT_EQ(verdicts[6].why, "it is shared with bob");
  EXPECT_EQ(verdicts[7].why, "channel stable points at it");
  EXPECT_EQ(verdicts[8].why, "it is protected");
}

TEST_P(RetentionTest, ChildrenOfOtherAccountsCountAndAreNotNamed) {
  publish({"1", "2"});
  accounts.share("alice", "web:1", "bob");
  accounts.publish("bob", "secret:1", {id("web:1")});
  accounts.sharing("alice").cancel("web:1", {"bob"});
  const auto verdicts = judge(1);
  EXPECT_THAT(going(verdicts), ElementsAre());
  EXPECT_EQ(verdicts[1].why, "another account's image was built from it");
  accounts.publish("alice", "own:1", {id("web:1")});
  EXPECT_EQ(judge(1)[1].why, "own:1 was built from it");
  accounts.life("alice").trash("own:1", {}, far_away);
  accounts.life("bob").trash("secret:1", {}, far_away);
  EXPECT_THAT(going(judge(1)), ElementsAre("1")) << "its children are no longer there";
}

TEST_P(RetentionTest, CarriesOutWhatIsStillTrue) {
  publish({"1", "2", "3", "4", "5", "6", "7"});
  const auto verdicts = judge(1);
  // Meanwhile:
  life().protect("web:1", true);
  accounts.labels("alice").promote("web:2", "stable");
  accounts.sharing("alice").offer("web:3", {"bob"}, false);
  accounts.publish("alice", "child:1", {id("web:4")});
  life().trash("web:5", {}, far_away);
  const auto gone = carry_out(verdicts);
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].image.version, "6");
  EXPECT_EQ(gone[0].state(), ImageState::trashed);
  for (const char* stays : {"web:1", "web:2", "web:3", "web:4", "web:7"}) EXPECT_EQ(state(stays), "available") << stays;
  EXPECT_EQ(state("web:6"), "trashed");
  EXPECT_EQ(accounts.as("alice").show("web:5").life.purge_at, far_away);
  users_ = [](const ImageEntry&) { return std::vector<std::string>{"web1"}; };
  EXPECT_TRUE(carry_out(verdicts).empty());
}

TEST_P(RetentionTest, ReadsTheCatalogOnceAndNotForEachThatGoes) {
  using Clock = std::chrono::steady_clock;
  Image image = accounts.publish("alice", "web:0");
  NewDisk disk;
  disk.disk = {image.content, image.virtual_size, 1};
  for (int i = 1; i <= 300; ++i) {
    image.id = random_id(), image.version = std::to_string(i);
    (void)accounts.records().add({image, home_region, "alice", "", {}, disk, {}});
  }
  const auto begin = Clock::now();
  const auto verdicts = judge(1);
  const auto judged = Clock::now();
  EXPECT_EQ(carry_out(verdicts).size(), 300u);
  // With a look at the whole catalog for each, it would take hundreds of times as long as judging.
  EXPECT_LT(Clock::now() - judged, (judged - begin) * 20 + std::chrono::seconds(1));
}

KILN_ON_BOTH_DATABASES(RetentionTest);

}  // namespace
}  // namespace kiln
