#include "catalog/life.h"

#include <gmock/gmock.h>

#include <future>

#include "accounts.h"
#include "catalog/collection.h"

namespace kiln {
namespace {

using test::error_of;
using test::far_away;
using test::long_ago;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

class LifeTest : public test::OnBothDatabases {
 protected:
  Life life() { return accounts.life("alice"); }
  LocalCatalog& catalog() { return accounts.as("alice"); }
  std::string id(const std::string& reference) { return catalog().show(reference).image.id; }
  std::string state(const std::string& reference) { return std::string(to_text(catalog().show(reference).state())); }
};

TEST_P(LifeTest, DeprecatesWithAReplacementAndTakesItBack) {
  accounts.publish("alice", "web:1");
  accounts.publish("alice", "web:2");
  const ImageEntry entry = life().deprecate("web:1", long_ago, far_away, "web:2");
  EXPECT_EQ(entry.state(), ImageState::deprecated);
  EXPECT_EQ(entry.life.replacement, "web:2");
  EXPECT_EQ(entry.life.obsolete_at, far_away);
  EXPECT_NO_THROW((void)catalog().show("web:1", Action::launch));
  EXPECT_EQ(life().undeprecate("web:1").state(), ImageState::available);
  EXPECT_EQ(catalog().show("web:1").life.replacement, "");
  EXPECT_EQ(life().deprecate("web:1", far_away, "", "").state(), ImageState::available);
}

TEST_P(LifeTest, ADeprecationThatMakesNoSenseIsRefused) {
  accounts.publish("alice", "web:1");
  EXPECT_STREQ(error_of([&] { life().deprecate("web:1", far_away, long_ago, ""); }).what(),
               "it would become obsolete before it is deprecated");
  EXPECT_STREQ(error_of([&] { life().deprecate("web:1", long_ago, "", "wbe:2"); }).what(), "there is no image \"wbe\"");
  EXPECT_EQ(state("web:1"), "available");
}

TEST_P(LifeTest, ASecondDeprecationChangesOnlyWhatIsGiven) {
  accounts.publish("alice", "web:1");
  accounts.publish("alice", "web:2");
  life().deprecate("web:1", long_ago, far_away, "web:2");
  const ImageEntry same = life().deprecate("web:1", "", "", "");
  EXPECT_EQ(same.life.deprecated_at, long_ago);
  EXPECT_EQ(same.life.obsolete_at, far_away);
  EXPECT_EQ(same.life.replacement, "web:2");
  const Moment soon = parse_moment("+1h");
  EXPECT_EQ(life().deprecate("web:1", "", soon, "").life.deprecated_at, long_ago);
  EXPECT_EQ(catalog().show("web:1").life.obsolete_at, soon);
  EXPECT_STREQ(error_of([&] { life().deprecate("web:1", far_away, "", ""); }).what(),
               "it would become obsolete before it is deprecated");
  EXPECT_EQ(life().deprecate("web:2", "", "", "").state(), ImageState::deprecated) << "now, when it never was";
}

TEST_P(LifeTest, ASecondRevocationDoesNotLetItRunAgain) {
  accounts.publish("alice", "web:1");
  life().revoke("web:1", long_ago, "leaked a key");
  const Error error = error_of([&] { life().revoke("web:1", far_away, "later"); });
  EXPECT_EQ(error.what(), std::string("image web:1 is revoked already, since ") + long_ago);
  EXPECT_EQ(error.hint(), "to give another date or reason, take that back first: kiln image revoke web:1 --undo");
  EXPECT_THAT(error.evidence(), ElementsAre("reason: leaked a key"));
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_EQ(state("web:1"), "revoked");
  life().unrevoke("web:1");
  life().revoke("web:1", far_away, "in a while");
  EXPECT_STREQ(error_of([&] { life().revoke("web:1", "2999-02-01T00:00:00Z", "even later"); }).what(),
               "image web:1 will be revoked earlier, at 2999-01-01T00:00:00Z");
  EXPECT_EQ(life().revoke("web:1", long_ago, "now").state(), ImageState::revoked) << "brought forward";
  EXPECT_EQ(catalog().show("web:1").life.reason, "now");
}

TEST_P(LifeTest, WhatOneIsToldToTypeMeansThatImage) {
  accounts.publish("alice", "web:1");
  accounts.publish("operator", "web:1");
  Life keeper = accounts.life("operator");
  LocalCatalog& catalog = accounts.as("operator");
  const auto hint = [&](const auto& call) { return error_of(call).hint(); };
  keeper.protect("alice/web:1", true);
  EXPECT_EQ(hint([&] { catalog.remove("alice/web:1"); }), "kiln image protect alice/web:1 --off");
  keeper.protect("alice/web:1", false);
  accounts.share("alice", "web:1", "bob", false);
  EXPECT_EQ(hint([&] { keeper.trash("alice/web:1", {}, far_away); }),
            "cancel that first: kiln share cancel alice/web:1 --with bob");
  accounts.sharing("alice").cancel("web:1", {"bob"});
  keeper.revoke("alice/web:1", long_ago, "leaked");
  EXPECT_EQ(hint([&] { (void)catalog.show("alice/web:1", Action::launch); }),
            "see what is known of it: kiln image show alice/web:1");
  EXPECT_THAT(hint([&] { keeper.revoke("alice/web:1", far_away, "x"); }), testing::HasSubstr(" alice/web:1 --undo"));
  keeper.trash("alice/web:1", {}, far_away);
  EXPECT_EQ(hint([&] { (void)catalog.show("alice/web:1", Action::launch); }),
            "restore it first: kiln image restore alice/web:1");
  EXPECT_EQ(hint([&] { (void)catalog.show("alice/web"); }), "restore it first: kiln image restore alice/web:1");
  EXPECT_EQ(hint([&] { (void)catalog.show("alice/wbe:1"); }), "did you mean \"alice/web\"?");
  keeper.protect("web:1", true);
  EXPECT_EQ(hint([&] { catalog.remove("web:1"); }), "kiln image protect web:1 --off") << "its own";
}

TEST_P(LifeTest, AReplacementIsNamedSoThatEverybodyFindsIt) {
  accounts.publish("alice", "web:1");
  accounts.publish("alice", "web:2");
  accounts.publish("operator", "web:2");
  const std::string theirs = accounts.as("operator").show("web:2").image.id;
  Life keeper = accounts.life("operator");
  EXPECT_EQ(keeper.deprecate("alice/web:1", long_ago, "", "web:2").life.replacement, "operator/web:2");
  EXPECT_EQ(keeper.deprecate("alice/web:1", "", "", theirs).life.replacement, "operator/web:2");
  EXPECT_EQ(keeper.deprecate("alice/web:1", "", "", "alice/web").life.replacement, "web");
  const ImageEntry entry = keeper.deprecate("alice/web:1", "", "", "alice/web:2");
  EXPECT_EQ(entry.life.replacement, "web:2") << "of the same owner";
  EXPECT_EQ(entry.replacement_for("alice"), "web:2");
  EXPECT_EQ(entry.replacement_for("operator"), "alice/web:2");
  keeper.deprecate("alice/web:1", "", long_ago, "");
  EXPECT_EQ(error_of([&] { (void)accounts.as("operator").show("alice/web:1", Action::launch); }).hint(),
            "use alice/web:2 instead");
  EXPECT_EQ(error_of([&] { (void)catalog().show("web:1", Action::launch); }).hint(), "use web:2 instead");
}

TEST_P(LifeTest, AReasonIsTextThatCanBeKept) {
  accounts.publish("alice", "web:1");
  EXPECT_STREQ(error_of([&] { life().revoke("web:1", long_ago, "caf\xe9"); }).what(), "the reason is no UTF-8");
  EXPECT_STREQ(error_of([&] { life().revoke("web:1", long_ago, std::string(5000, 'x')); }).what(),
               "the reason has 5000 bytes, at most 4096 are kept");
  EXPECT_EQ(state("web:1"), "available");
  EXPECT_EQ(life().revoke("web:1", long_ago, "d\xc3\xa9j\xc3\xa0 vu").life.reason, "d\xc3\xa9j\xc3\xa0 vu");
}

TEST_P(LifeTest, WhatChangedSinceTheLookIsNotRemoved) {
  const Image image = accounts.publish("alice", "web:1");
  ImageRecords& records = accounts.records();
  EXPECT_FALSE(records.remove(image.id, ImageRecords::Remove::dead)) << "it was brought back meanwhile";
  accounts.share("alice", "web:1", "bob");
  EXPECT_FALSE(records.remove(image.id, ImageRecords::Remove::alive));
  EXPECT_THAT(accounts.sharing("alice").members("web:1"), testing::SizeIs(1));
  accounts.sharing("alice").cancel("web:1", {"bob"});
  life().trash("web:1", {}, far_away);
  EXPECT_FALSE(records.remove(image.id, ImageRecords::Remove::alive)) << "somebody else has put it into the trash";
  EXPECT_FALSE(records.trash(image.id, now_moment(), long_ago)) << "its term stays";
  EXPECT_TRUE(records.remove(image.id, ImageRecords::Remove::dead));
  EXPECT_FALSE(records.change(image.id, [](const ImageEntry&) { return ImageChange{}; })) << "it is gone";
}

TEST_P(LifeTest, ARemovalLooksAgainWhenTheImageWasSharedMeanwhile) {
  const Image image = accounts.publish("alice", "web:1");
  // Asked who uses it, and shared right then.
  const auto share = [&](const ImageEntry&) {
    accounts.sharing("operator").offer(image.id, {"bob"}, false);
    return std::vector<std::string>{};
  };
  EXPECT_STREQ(error_of([&] { catalog().remove("web:1", share); }).what(), "image web:1 is shared with bob");
  EXPECT_EQ(state("web:1"), "available");
}

TEST_P(LifeTest, WhoseTermIsOverIsNotBroughtBackByAChangeThatBeganBefore) {
  const Image image = accounts.publish("alice", "web:1");
  life().trash("web:1", {}, long_ago);
  EXPECT_FALSE(accounts.records().change(
      image.id, [](const ImageEntry&) { return ImageChange{.trashed_at = "", .purge_at = ""}; }));
  EXPECT_TRUE(catalog().list().empty());
}

TEST_P(LifeTest, ARevocationReachesAllGenerations) {
  const std::string base = accounts.publish("alice", "base:1").id;
  const std::string child = accounts.publish("alice", "child:1", {base}).id;
  accounts.publish("alice", "grandchild:1", {child});
  accounts.publish("alice", "other:1");
  life().revoke("base:1", long_ago, "leaked a key");
  for (const char* image : {"base:1", "child:1", "grandchild:1"})
    for (const Action action : {Action::launch, Action::build, Action::write_out, Action::copy}) {
      const Error error = error_of([&] { (void)catalog().show(image, action); });
      EXPECT_THAT(error.what(), testing::StartsWith("image " + std::string(image) + " is revoked and cannot be "));
      EXPECT_THAT(error.evidence(), ElementsAre("reason: leaked a key"));
    }
  EXPECT_EQ(state("other:1"), "available");
  life().unrevoke("base:1");
  EXPECT_EQ(state("grandchild:1"), "available");
}

TEST_P(LifeTest, ARevocationCrossesADiamondAndOtherAccounts) {
  const std::string top = accounts.publish("alice", "top:1").id;
  const std::string left = accounts.publish("alice", "left:1", {top}).id;
  const std::string right = accounts.publish("alice", "right:1", {top}).id;
  accounts.publish("alice", "bottom:1", {left, right});
  accounts.share("alice", "right:1", "bob");
  const std::string shared = accounts.as("bob").show("right:1").image.id;
  accounts.publish("bob", "mine:1", {shared});
  life().revoke("left:1", long_ago, "");
  EXPECT_EQ(state("bottom:1"), "revoked");
  EXPECT_EQ(state("right:1"), "available");
  life().unrevoke("left:1");
  life().revoke("top:1", long_ago, "");
  EXPECT_EQ(state("bottom:1"), "revoked");
  EXPECT_EQ(accounts.as("bob").show("mine:1").state(), ImageState::revoked) << "though bob does not see top";
  EXPECT_THAT(test::names_of(life().descendants("top:1").images),
              UnorderedElementsAre("alice/left:1", "alice/right:1", "alice/bottom:1"));
}

TEST_P(LifeTest, ARevocationOutlivesTheImageThatItWasMadeFor) {
  const std::string base = accounts.publish("alice", "base:1").id;
  const std::string child = accounts.publish("alice", "child:1", {base}).id;
  const std::string grandchild = accounts.publish("alice", "grandchild:1", {child}).id;
  catalog().remove("child:1");
  life().revoke("base:1", long_ago, "leaked a key");
  EXPECT_EQ(state("grandchild:1"), "revoked") << "its parent is gone, its grandparent is not";
  life().trash("base:1", {}, long_ago);
  collect(catalog().view().store());
  EXPECT_FALSE(catalog().find("base:1"));
  EXPECT_EQ(state("grandchild:1"), "revoked");
  EXPECT_EQ(catalog().show("grandchild:1").life.reason, "leaked a key");
}

TEST_P(LifeTest, AParentInTheTrashIsRevokedForTheSakeOfItsChildren) {
  const std::string base = accounts.publish("alice", "base:1").id;
  accounts.publish("alice", "child:1", {base});
  life().trash("base:1", {}, far_away);
  EXPECT_EQ(life().revoke("base:1", long_ago, "leaked a key").state(), ImageState::trashed);
  EXPECT_EQ(state("child:1"), "revoked");
  EXPECT_EQ(life().restore("base:1").state(), ImageState::revoked);
}

TEST_P(LifeTest, WhatIsProtectedStays) {
  accounts.publish("alice", "web:1");
  life().protect("web:1", true);
  const Error error = error_of([&] { life().trash("web:1", {}, far_away); });
  EXPECT_STREQ(error.what(), "image web:1 is protected");
  EXPECT_EQ(error.hint(), "kiln image protect web:1 --off");
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_THROW(catalog().remove("web:1"), Error);
  life().protect("web:1", false);
  EXPECT_EQ(life().trash("web:1", {}, far_away).state(), ImageState::trashed);
}

TEST_P(LifeTest, WhatIsInUseOrSharedStaysAndTheAnswerSaysByWhom) {
  accounts.publish("alice", "web:1");
  const Users two = [](const ImageEntry&) { return std::vector<std::string>{"web-1", "web-2"}; };
  EXPECT_STREQ(error_of([&] { life().trash("web:1", two, far_away); }).what(), "image web:1 is in use by web-1, web-2");
  for (const char* member : {"bob", "carol", "dave"}) accounts.share("alice", "web:1", member, false);
  accounts.sharing("bob").accept("alice/web:1");
  accounts.sharing("dave").reject("alice/web:1");
  const Error error = error_of([&] { life().trash("web:1", {}, far_away); });
  EXPECT_STREQ(error.what(), "image web:1 is shared with bob, carol");
  EXPECT_EQ(error.hint(), "cancel that first: kiln share cancel web:1 --with bob");
  EXPECT_THROW(catalog().remove("web:1"), Error);
  EXPECT_EQ(state("web:1"), "available");
  accounts.sharing("alice").cancel("web:1", {"bob", "carol"});
  EXPECT_NO_THROW(life().trash("web:1", {}, far_away));
}

TEST_P(LifeTest, WhatRunsInAnotherHomeStaysAndTheAnswerSaysWhere) {
  const std::string image = accounts.publish("alice", "web:1").id;
  UseRecords& uses = catalog().view().store().uses;
  ASSERT_TRUE(uses.begin({image, "far:/home", "", "alice"}));
  EXPECT_STREQ(error_of([&] { catalog().remove("web:1"); }).what(), "image web:1 is in use by a launch on far:/home");
  // What a home has takes the place of all that was known of it; another home's stays.
  ASSERT_TRUE(uses.begin({image, "near:/home", "db", "bob"}));
  uses.replace("far:/home", {{image, "far:/home", "web-1", "alice"}});
  const Error error = error_of([&] { life().trash("web:1", {}, far_away); });
  EXPECT_STREQ(error.what(), "image web:1 is in use by an instance of bob, instance web-1 on far:/home");
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_THAT(life().users_on_record(catalog().show("web:1"), "near:/home"),
              testing::ElementsAre("instance web-1 on far:/home"));
  EXPECT_FALSE(accounts.records().trash(image, now_moment(), far_away)) << "it was launched since the look";
  EXPECT_FALSE(accounts.records().remove(image, ImageRecords::Remove::alive));
  EXPECT_TRUE(accounts.records().trash_unneeded({image}, now_moment(), far_away).empty());
  EXPECT_EQ(error.hint(),
            "it can go when they have removed what uses it; until then, kiln image deprecate keeps "
            "newcomers away");
  uses.replace("near:/home", {});
  EXPECT_EQ(error_of([&] { life().trash("web:1", {}, far_away); }).hint(),
            "remove it there: kiln rm; of a home that is gone for good: kiln gc --forget-home far:/home");
  // The last one goes while it is asked who uses the image.
  const Users last = [&](const ImageEntry&) {
    uses.replace("far:/home", {});
    return std::vector<std::string>{};
  };
  EXPECT_NO_THROW(life().trash("web:1", last, far_away));
  EXPECT_FALSE(uses.begin({image, "far:/home", "web-2", "alice"})) << "nobody launches from the trash";
  EXPECT_NO_THROW(catalog().remove("web:1"));
  EXPECT_FALSE(uses.begin({image, "far:/home", "web-2", "alice"}));
}

TEST_P(LifeTest, WhatAChannelPointsAtStays) {
  accounts.publish("alice", "web:1", {}, "stable");
  const Error error = error_of([&] { life().trash("web:1", {}, far_away); });
  EXPECT_STREQ(error.what(), "channel \"stable\" points at image web:1");
  EXPECT_EQ(error.hint(),
            "point it elsewhere first: kiln image promote web:VERSION stable, or end it: kiln image channel web stable"
            " --remove");
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_THROW(catalog().remove("web:1"), Error);
  const std::string image = id("web:1");
  EXPECT_FALSE(accounts.records().trash(image, now_moment(), far_away)) << "it was promoted since the look";
  EXPECT_FALSE(accounts.records().remove(image, ImageRecords::Remove::alive));
  accounts.labels("alice").remove_channel("web", "stable");
  EXPECT_EQ(life().trash("web:1", {}, far_away).state(), ImageState::trashed);
}

TEST_P(LifeTest, WhatIsPublicStays) {
  accounts.publish("alice", "web:1");
  accounts.life("operator").open_up("alice/web:1", true);
  const Error error = error_of([&] { life().trash("web:1", {}, far_away); });
  EXPECT_STREQ(error.what(), "image web:1 is public: every account may use it");
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_THROW(catalog().remove("web:1"), Error);
  EXPECT_FALSE(accounts.records().trash(id("web:1"), now_moment(), far_away));
  accounts.life("operator").open_up("alice/web:1", false);
  EXPECT_NO_THROW(catalog().remove("web:1"));
}

TEST_P(LifeTest, OfOneWhoSharesAndOneWhoTrashesOnlyOneSucceeds) {
  LocalCatalog& keeper = accounts.as("operator");
  const auto succeeds = [](const auto& call) {
    try {
      call();
      return 1;
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::refused) << error.what();
      return 0;
    }
  };
  for (int round = 0; round < 25; ++round) {
    const Image image = accounts.publish("alice", "web:" + std::to_string(round));
    auto trash = std::async(std::launch::async,
                            [&] { return succeeds([&] { (void)Life(keeper.view()).trash(image.id, {}, far_away); }); });
    const int offered = succeeds([&] { accounts.sharing("alice").offer(image.id, {"bob"}, false); });
    EXPECT_EQ(offered + trash.get(), 1) << "round " << round;
  }
}

TEST_P(LifeTest, WhatIsInTheTrashComesBackAsItWas) {
  accounts.publish("alice", "web:1");
  accounts.labels("alice").edit("web:1", {.add_tags = {"blue"}});
  life().deprecate("web:1", long_ago, "", "");
  life().trash("web:1", {}, far_away);
  EXPECT_EQ(state("web:1"), "trashed");
  const Error error = error_of([&] { (void)catalog().show("web:1", Action::launch); });
  EXPECT_STREQ(error.what(), "image web:1 is trashed and cannot be launched");
  EXPECT_EQ(error.hint(), "restore it first: kiln image restore web:1");
  EXPECT_EQ(life().restore("web:1").state(), ImageState::deprecated);
  EXPECT_THAT(catalog().show("web:1").tags, ElementsAre("blue"));
  EXPECT_EQ(test::read_all(*catalog().read(catalog().show("web:1").image)).size(), chunk_size);
}

TEST_P(LifeTest, WhoseTermIsOverIsGoneAndItsVersionIsFree) {
  accounts.publish("alice", "web:1");
  const std::string before = id("web:1");
  life().trash("web:1", {}, long_ago);
  EXPECT_TRUE(catalog().list().empty());
  EXPECT_THROW(life().restore("web:1"), Error);
  EXPECT_NO_THROW(accounts.publish("alice", "web:1"));
  EXPECT_NE(id("web:1"), before);
}

TEST_P(LifeTest, ACollectionPurgesAndGivesBackTheSpace) {
  accounts.publish("alice", "web:1");
  life().trash("web:1", {}, far_away);
  EXPECT_EQ(collect(catalog().view().store()).packs, 0u);
  life().restore("web:1");
  life().trash("web:1", {}, long_ago);
  EXPECT_EQ(collect(catalog().view().store()).packs, 1u);
  EXPECT_EQ(catalog().statistics().images, 0u);
}

TEST_P(LifeTest, ChildrenOfAnOlderVersionAreOutOfDate) {
  const std::string one = accounts.publish("alice", "base:1").id, other = accounts.publish("alice", "lib:1").id;
  accounts.publish("alice", "child:1", {one});
  accounts.publish("alice", "both:1", {one, other});
  EXPECT_TRUE(life().descendants("base:1").out_of_date.empty());
  const std::string two = accounts.publish("alice", "base:2").id;
  accounts.publish("alice", "lib:2");
  EXPECT_THAT(life().descendants("base:1").out_of_date, UnorderedElementsAre(id("child:1"), id("both:1")));
  accounts.publish("alice", "child:2", {two});
  EXPECT_TRUE(life().descendants("base:2").out_of_date.empty());
  life().revoke("base:2", long_ago, "");
  life().revoke("lib:2", long_ago, "");
  EXPECT_TRUE(life().descendants("base:1").out_of_date.empty()) << "there is nothing newer of use";
}

KILN_ON_BOTH_DATABASES(LifeTest);

}  // namespace
}  // namespace kiln
