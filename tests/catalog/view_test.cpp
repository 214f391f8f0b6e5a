#include "catalog/view.h"

#include <gmock/gmock.h>

#include "accounts.h"
#include "catalog/channel_rows.h"

namespace kiln {
namespace {

using test::error_of;
using test::long_ago;
using testing::ElementsAre;

class ViewTest : public test::OnBothDatabases {
 protected:
  /// "owner/name:version" of what `who` means by it.
  std::string meant(const std::string& who, const std::string& reference) {
    const ImageEntry entry = accounts.as(who).show(reference);
    return entry.owner + "/" + entry.reference();
  }
};

TEST_P(ViewTest, OnesOwnComesBeforeThePublicOneAndThatBeforeASharedOne) {
  accounts.publish("alice", "web:1");
  accounts.share("alice", "web:1", "bob");
  EXPECT_EQ(meant("bob", "web"), "alice/web:1");
  accounts.publish("operator", "web:2");
  EXPECT_EQ(meant("bob", "web"), "alice/web:1") << "what the operator keeps for itself";
  accounts.life("operator").open_up("operator/web:2", true);
  EXPECT_EQ(meant("bob", "web"), "operator/web:2");
  accounts.publish("bob", "web:3");
  EXPECT_EQ(meant("bob", "web"), "bob/web:3");
  EXPECT_EQ(meant("bob", "alice/web"), "alice/web:1");
  EXPECT_EQ(meant("bob", "operator/web:2"), "operator/web:2");
  EXPECT_EQ(meant("alice", "web"), "alice/web:1");
  EXPECT_EQ(meant("carol", "web"), "operator/web:2");
}

TEST_P(ViewTest, OfTwoOwnersOneHasToBeNamed) {
  for (const char* owner : {"alice", "carol"}) {
    accounts.publish(owner, "web:1");
    accounts.share(owner, "web:1", "bob");
  }
  const Error error = error_of([&] { meant("bob", "web:1"); });
  EXPECT_STREQ(error.what(), "image \"web\" may be that of alice or that of carol");
  EXPECT_EQ(error.hint(), "say whose: alice/web:1");
  EXPECT_EQ(meant("bob", "carol/web:1"), "carol/web:1");
}

TEST_P(ViewTest, AnOfferThatNobodyAskedForChangesNoMeaning) {
  accounts.publish("alice", "web:1");
  accounts.share("alice", "web:1", "bob");
  accounts.publish("mallory", "web:9");
  accounts.share("mallory", "web:9", "bob", false);
  EXPECT_EQ(meant("bob", "web"), "alice/web:1");
  EXPECT_EQ(meant("bob", "mallory/web"), "mallory/web:9");
}

TEST_P(ViewTest, ANameMeansTheNewestThatIsNotDeprecated) {
  for (const char* image : {"web:1", "web:2", "web:3"}) accounts.publish("alice", image);
  accounts.life("alice").deprecate("web:3", long_ago, "", "web:2");
  EXPECT_EQ(meant("alice", "web"), "alice/web:2");
  accounts.life("alice").revoke("web:2", long_ago, "bad");
  EXPECT_EQ(meant("alice", "web"), "alice/web:1");
  EXPECT_EQ(meant("alice", "web:3"), "alice/web:3");
  accounts.life("alice").undeprecate("web:3");
  EXPECT_EQ(meant("alice", "web"), "alice/web:3");
}

TEST_P(ViewTest, WhenAllAreDeprecatedTheReplacementIsNamed) {
  accounts.publish("alice", "next:1");
  for (const char* image : {"web:1", "web:2"}) accounts.publish("alice", image);
  accounts.life("alice").deprecate("web:1", long_ago, "", "");
  accounts.life("alice").deprecate("web:2", long_ago, "", "");
  Error error = error_of([&] { (void)accounts.as("alice").show("web", Action::launch); });
  EXPECT_STREQ(error.what(), "no version of image \"web\" is available: the newest, 2, is deprecated");
  EXPECT_EQ(error.hint(), "name the version to use it all the same: web:2");
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_NO_THROW((void)accounts.as("alice").show("web:2", Action::launch));
  accounts.life("alice").deprecate("web:2", long_ago, long_ago, "next:1");
  error = error_of([&] { (void)accounts.as("alice").show("web", Action::launch); });
  EXPECT_EQ(error.hint(), "use next:1 instead");
  error = error_of([&] { (void)accounts.as("alice").show("web:2", Action::launch); });
  EXPECT_STREQ(error.what(), "image web:2 is obsolete and cannot be launched");
  EXPECT_EQ(error.hint(), "use next:1 instead");
}

TEST_P(ViewTest, WhatIsInTheTrashHidesNothing) {
  accounts.publish("operator", "web:1");
  accounts.life("operator").open_up("web:1", true);
  for (const char* image : {"web:7", "web:8"}) accounts.publish("bob", image);
  accounts.life("bob").trash("web:8", {}, test::far_away);
  EXPECT_EQ(meant("bob", "web"), "bob/web:7");
  accounts.life("bob").trash("web:7", {}, test::far_away);
  EXPECT_EQ(meant("bob", "web"), "operator/web:1");
  EXPECT_EQ(meant("bob", "web:8"), "bob/web:8");
  const Error error = error_of([&] { meant("bob", "bob/web"); });
  EXPECT_STREQ(error.what(), "no version of image \"web\" is available: the newest, 8, is trashed");
  EXPECT_EQ(error.hint(), "restore it first: kiln image restore web:8");
}

TEST_P(ViewTest, EachAccountHasVersionsOfItsOwn) {
  accounts.publish("alice", "web:1");
  EXPECT_NO_THROW(accounts.publish("bob", "web:1")) << "an error would tell that alice has one";
  EXPECT_THROW(accounts.publish("bob", "web:1"), Error);
  EXPECT_THAT(test::names_of(accounts.as("bob").list()), ElementsAre("bob/web:1"));
}

TEST_P(ViewTest, ListsByOwnerAndNameTheNewestFirst) {
  for (const char* image : {"b:1", "Z:1", "a:1", "b:2"}) accounts.publish("bob", image);
  accounts.publish("Alice", "c:1");
  EXPECT_THAT(test::names_of(accounts.as("operator").list()),
              ElementsAre("Alice/c:1", "bob/Z:1", "bob/a:1", "bob/b:2", "bob/b:1"));
}

TEST_P(ViewTest, AChannelAndAVersionOfOneNameMeanTheVersion) {
  accounts.publish("alice", "web:stable");
  const Image two = accounts.publish("alice", "web:2");
  // Today that is refused; older kilns let it happen.
  Database(database.empty() ? (folder / "c/records.sqlite").string() : database).write([&](soci::session& sql) {
    point_channel(sql, {home_region, "alice", "web", "stable"}, {two.id, "2"}, "alice");
  });
  EXPECT_EQ(accounts.as("alice").show("web:2").channels, std::vector<std::string>{"stable"});
  EXPECT_EQ(meant("alice", "web:stable"), "alice/web:stable");
}

KILN_ON_BOTH_DATABASES(ViewTest);

}  // namespace
}  // namespace kiln
