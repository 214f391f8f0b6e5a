#include "catalog/sharing.h"

#include <gmock/gmock.h>

#include <kiln/hash.h>

#include "accounts.h"

namespace kiln {
namespace {

using test::error_of;
using testing::ElementsAre;

class SharingTest : public test::OnBothDatabases {
 protected:
  SharingTest() { accounts.publish("alice", "web:1"); }
};

TEST_P(SharingTest, AnOfferIsAcceptedAndThenUsed) {
  accounts.sharing("alice").offer("web:1", {"bob", "carol"}, false);
  const auto offered = accounts.sharing("bob").offered();
  ASSERT_EQ(offered.size(), 1u);
  EXPECT_EQ(offered[0].entry.owner, "alice");
  EXPECT_EQ(offered[0].share.state, Share::State::pending);
  const Error early = error_of([&] { (void)accounts.as("bob").show("alice/web:1", Action::launch); });
  EXPECT_STREQ(early.what(), "image web:1 is not accepted yet");
  EXPECT_EQ(early.hint(), "kiln share accept alice/web:1");
  accounts.sharing("bob").accept("alice/web:1");
  EXPECT_NO_THROW((void)accounts.as("bob").show("alice/web:1", Action::launch));
  EXPECT_NO_THROW((void)accounts.as("bob").open(accounts.as("bob").show("web").image));
  EXPECT_THROW((void)accounts.as("carol").show("alice/web:1", Action::launch), Error);
}

TEST_P(SharingTest, TheOwnerSeesWhoHasItAndAMemberDoesNot) {
  accounts.share("alice", "web:1", "bob", true, true);
  accounts.share("alice", "web:1", "carol", false);
  std::vector<std::string> seen;
  for (const Share& s : accounts.sharing("alice").members("web:1"))
    seen.push_back(s.member + " " + std::string(to_text(s.state)) + (s.may_copy ? " copy" : ""));
  EXPECT_THAT(seen, ElementsAre("bob accepted copy", "carol pending"));
  const Error error = error_of([&] { (void)accounts.sharing("bob").members("alice/web:1"); });
  EXPECT_STREQ(error.what(), "image web:1 belongs to alice and cannot be shared by you");
  EXPECT_EQ(error.failure(), Failure::refused);
}

TEST_P(SharingTest, CancellingMakesItVanishForTheMemberOnly) {
  accounts.share("alice", "web:1", "bob");
  accounts.share("alice", "web:1", "carol");
  const auto reader = accounts.as("bob").open(accounts.as("bob").show("alice/web:1").image);
  accounts.sharing("alice").cancel("web:1", {"bob"});
  EXPECT_TRUE(accounts.as("bob").list().empty());
  EXPECT_TRUE(accounts.sharing("bob").offered().empty());
  EXPECT_EQ(accounts.as("carol").list().size(), 1u);
  EXPECT_EQ(test::read_all(*reader).size(), chunk_size);  // whoever reads goes on
  const Error again = error_of([&] { accounts.sharing("alice").cancel("web:1", {"carol", "bob"}); });
  EXPECT_STREQ(again.what(), "image web:1 is not shared with \"bob\"");
  EXPECT_EQ(accounts.as("carol").list().size(), 1u) << "a mistake cancels none of them";
}

TEST_P(SharingTest, WhatWasRejectedIsGoneUntilItIsOfferedAgain) {
  accounts.share("alice", "web:1", "bob", false);
  accounts.sharing("bob").reject("alice/web:1");
  EXPECT_TRUE(accounts.sharing("bob").offered().empty());
  EXPECT_STREQ(error_of([&] { accounts.sharing("bob").accept("alice/web:1"); }).what(), "there is no image \"web\"");
  accounts.sharing("alice").offer("web:1", {"bob"}, false);
  EXPECT_NO_THROW(accounts.sharing("bob").accept("alice/web:1"));
}

TEST_P(SharingTest, AnOperatorAnswersToWhatWasOfferedToIt) {
  EXPECT_STREQ(error_of([&] { (void)accounts.sharing("operator").accept("alice/web:1"); }).what(),
               "image web:1 belongs to alice and cannot be accepted or rejected by you");
  accounts.sharing("alice").offer("web:1", {"operator"}, false);
  accounts.sharing("operator").accept("alice/web:1");
  EXPECT_EQ(accounts.sharing("alice").members("web:1").front().state, Share::State::accepted);
  accounts.sharing("operator").reject("alice/web:1");
  EXPECT_EQ(accounts.sharing("alice").members("web:1").front().state, Share::State::rejected);
  EXPECT_THROW(accounts.sharing("operator").accept("alice/web:1"), Error);  // a member again when it is offered again
}

TEST_P(SharingTest, OfferingAgainChangesTheGrantAndKeepsTheAnswer) {
  accounts.share("alice", "web:1", "bob");
  EXPECT_THROW((void)accounts.as("bob").show("web", Action::copy), Error);
  accounts.sharing("alice").offer("web:1", {"bob"}, true);
  EXPECT_NO_THROW((void)accounts.as("bob").show("web", Action::copy));
  EXPECT_EQ(accounts.sharing("alice").members("web:1").size(), 1u);
  accounts.sharing("alice").offer("web:1", {"bob"}, false);
  EXPECT_THROW((void)accounts.as("bob").show("web", Action::copy), Error);
}

TEST_P(SharingTest, WhatMayOnlyBeBuiltFromIsNotHandedOnAsItIs) {
  const Image image = accounts.as("alice").show("web").image;
  const auto hand_over = [&](const char* account, Action action, const std::optional<Digest>& content = {}) {
    return std::string(error_of([&] { accounts.as(account).require_hand_over(image.id, content, action); }).what());
  };
  const auto fine = [&](const char* account, Action action, const std::optional<Digest>& content = {}) {
    EXPECT_NO_THROW(accounts.as(account).require_hand_over(image.id, content, action)) << account;
  };
  accounts.share("alice", "web:1", "bob");
  accounts.share("alice", "web:1", "carol", true, true);
  EXPECT_EQ(hand_over("bob", Action::write_out), "image web:1 belongs to alice and cannot be exported by you");
  EXPECT_EQ(hand_over("bob", Action::write_out, image.content),
            "image web:1 belongs to alice and cannot be exported by you");
  EXPECT_EQ(hand_over("bob", Action::copy), "image web:1 belongs to alice and cannot be copied by you");
  fine("bob", Action::launch);
  fine("bob", Action::write_out, sha256("another disk"));
  fine("carol", Action::copy);
  EXPECT_EQ(hand_over("carol", Action::write_out), "image web:1 belongs to alice and cannot be exported by you");
  fine("alice", Action::write_out);
  fine("operator", Action::copy);
  accounts.sharing("alice").cancel("web:1", {"bob", "carol"});
  EXPECT_EQ(hand_over("bob", Action::launch), "there is no image web:1");
  accounts.as("alice").remove("web:1");
  fine("bob", Action::write_out);  // there is nobody left to ask
}

TEST_P(SharingTest, WhoUsesAnImageIsKnownToItsOwnerUnlessEverybodyMay) {
  const std::string id = accounts.as("alice").show("web").image.id;
  const auto hears = [&](const char* account, const char* of) { return accounts.sharing(account).may_hear_of(id, of); };
  accounts.share("alice", "web:1", "bob");
  EXPECT_TRUE(hears("alice", "bob"));
  EXPECT_TRUE(hears("alice", "carol")) << "who had a share that is cancelled";
  EXPECT_TRUE(hears("operator", "carol"));
  EXPECT_TRUE(hears("bob", "bob"));
  EXPECT_FALSE(hears("bob", "carol"));
  EXPECT_FALSE(hears("eve", "eve")) << "who does not see the image";
  accounts.life("operator").open_up("alice/web:1", true);
  EXPECT_TRUE(hears("alice", "bob"));
  EXPECT_FALSE(hears("alice", "carol"));
}

TEST_P(SharingTest, BadMembersAreRefusedBeforeAnybodyIsOfferedAnything) {
  EXPECT_STREQ(error_of([&] {
                 accounts.sharing("alice").offer("web:1", {"bob", "alice"}, false);
               }).what(),
               "image web:1 is alice's own");
  EXPECT_THROW(accounts.sharing("alice").offer("web:1", {"bob", "a/b"}, false), Error);
  EXPECT_TRUE(accounts.sharing("alice").members("web:1").empty());
}

TEST_P(SharingTest, NobodyAnswersToWhatWasTakenBack) {
  const Image image = accounts.as("alice").show("web:1").image;
  ShareRecords& shares = accounts.as("bob").view().store().shares;
  accounts.share("alice", "web:1", "bob", false);
  accounts.sharing("alice").cancel("web:1", {"bob"});
  EXPECT_FALSE(shares.answer(image.id, "bob", Share::State::accepted));
  EXPECT_TRUE(shares.of_member("bob").empty());
  accounts.share("alice", "web:1", "bob", false);
  EXPECT_TRUE(shares.answer(image.id, "bob", Share::State::rejected));
  accounts.life("alice").trash("web:1", {}, test::far_away);
  EXPECT_FALSE(shares.answer(image.id, "bob", Share::State::accepted));
}

TEST_P(SharingTest, AnImageThatIsRemovedTakesItsSharesWithIt) {
  const Image image = accounts.as("alice").show("web:1").image;
  accounts.share("alice", "web:1", "bob", false);
  accounts.sharing("bob").reject("alice/web:1");
  accounts.records().remove(image.id, ImageRecords::Remove::alive);
  EXPECT_TRUE(accounts.sharing("bob").offered().empty());
  EXPECT_TRUE(accounts.as("bob").view().store().shares.of_member("bob").empty());
}

KILN_ON_BOTH_DATABASES(SharingTest);

}  // namespace
}  // namespace kiln
