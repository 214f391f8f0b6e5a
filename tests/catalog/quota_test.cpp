// Quotas: hard limits, also when many publish at the same time.
#include "catalog/quotas.h"

#include <gmock/gmock.h>

#include <future>

#include "accounts.h"
#include "catalog/store.h"
#include "support/run.h"

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t MiB = 1 << 20;

class QuotaTest : public test::OnBothDatabases {
 protected:
  Quotas quotas(const std::string& account) { return Quotas(accounts.as(account).view()); }
  Quota quota_of(const std::string& account) { return quotas(account).list().at(0); }
  Image publish(const std::string& account, const std::string& name, std::uint64_t seed) {
    return test::publish(accounts.as(account), test::make_disk(3 * MiB, seed), {name, "1", "", 0, {}}).image;
  }
  std::string refusal(const std::string& account, const std::string& name, std::uint64_t seed) {
    const Error error = test::error_of([&] { publish(account, name, seed); });
    EXPECT_EQ(error.failure(), Failure::refused);
    return error.what();
  }
};

TEST_P(QuotaTest, OnlyTheOperatorSetsIt) {
  EXPECT_EQ(test::error_of([&] { quotas("alice").set("alice", 1, {}); }).failure(), Failure::refused);
  EXPECT_THAT(quotas("operator").list(), IsEmpty());
  ASSERT_TRUE(quotas("operator").set("alice", 5, 10 * MiB));
  quotas("operator").set("bob", 1, {});
  EXPECT_EQ(quotas("operator").list().size(), 2u);
  EXPECT_EQ(quotas("alice").list().size(), 1u) << "bob's is not alice's to see";
  EXPECT_FALSE(quotas("operator").set("alice", {}, {}));
  EXPECT_THAT(quotas("alice").list(), IsEmpty());
}

TEST_P(QuotaTest, ANewLimitIsNeverHeldAgainstAnEmptyAccount) {
  const std::uint64_t stored = publish("alice", "a", 1).stored_bytes;
  LeaseRecords& leases = accounts.as("operator").view().store().leases;
  // What another publish sees before anybody has counted.
  leases.set_quota(home_region, "alice", {}, 10 * MiB);
  EXPECT_FALSE(leases.quota(home_region, "alice")->settled);
  EXPECT_GE(leases.quota(home_region, "alice")->used_bytes, stored);
  const std::uint64_t exact = quota_of("alice").used_bytes;
  leases.set_quota(home_region, "alice", 7, 20 * MiB);
  const Quota changed = *leases.quota(home_region, "alice");
  EXPECT_TRUE(changed.settled);
  EXPECT_EQ(changed.used_bytes, exact);
  EXPECT_EQ(changed.max_images, 7u);
}

TEST_P(QuotaTest, TheCountIsHeldAndARemovalGivesItBack) {
  quotas("operator").set("alice", 2, {});
  publish("alice", "a", 1);
  publish("alice", "b", 1);
  EXPECT_THAT(refusal("alice", "c", 1), HasSubstr("may have 2 images, and has 2"));
  publish("bob", "c", 1);
  accounts.as("alice").remove("a");
  publish("alice", "c", 1);
  EXPECT_EQ(quota_of("alice").images, 2u);
}

TEST_P(QuotaTest, BytesCountOnceForAnOwnerHoweverManyImagesHaveThem) {
  const std::uint64_t stored = publish("alice", "a", 1).stored_bytes;
  quotas("operator").set("alice", {}, stored * 3 / 2);
  // A pack has a header, an index and a footer beside the chunks.
  EXPECT_NEAR(static_cast<double>(quota_of("alice").used_bytes), static_cast<double>(stored), 8192);
  const std::uint64_t used = quota_of("alice").used_bytes;
  publish("alice", "again", 1);
  EXPECT_EQ(quota_of("alice").used_bytes, used);
  EXPECT_THAT(refusal("alice", "other", 2), HasSubstr("the quota of account alice is"));
  EXPECT_EQ(quota_of("alice").used_bytes, used);
  EXPECT_EQ(quota_of("alice").reserved_bytes, 0u);
  EXPECT_THAT(test::files_in(folder / "c/staging"), IsEmpty());
}

TEST_P(QuotaTest, WhatOthersStoreMakesNoDifference) {
  publish("bob", "a", 1);
  const std::uint64_t stored = publish("bob", "b", 2).stored_bytes;
  quotas("operator").set("alice", {}, stored * 3 / 2);
  EXPECT_EQ(publish("alice", "a", 1).stored_bytes, 0u);
  EXPECT_GT(quota_of("alice").used_bytes, stored / 2);
  EXPECT_THAT(refusal("alice", "b", 2), HasSubstr("the quota of account alice is"));
  accounts.as("alice").remove("a");
  EXPECT_EQ(quota_of("alice").used_bytes, 0u);
  publish("alice", "b", 2);
}

TEST_P(QuotaTest, OfManyPublishersOnlyAsManyAsFitCome) {
  const std::uint64_t stored = publish("local", "a", 100).stored_bytes;
  quotas("operator").set("local", {}, stored * 7 / 2);  // this one and two more
  std::vector<std::future<test::Outcome>> running;
  for (int i = 0; i < 6; ++i)
    running.push_back(std::async(std::launch::async, [&, i] {
      return test::run(
          {KILN_CATALOG_PUBLISHER, folder / "c", "p" + std::to_string(i), "1", std::to_string(i), "3", "0", database});
    }));
  int came = 0;
  for (auto& outcome : running) came += outcome.get().status == 0 ? 1 : 0;
  // Two that come at the same moment may each reserve a little, and then both be refused.
  EXPECT_LE(came, 2);
  EXPECT_LE(quota_of("local").used_bytes, stored * 7 / 2);
  EXPECT_EQ(quota_of("local").reserved_bytes, 0u);
  for (std::uint64_t seed = 200; came < 2; ++came, ++seed) publish("local", "late" + std::to_string(seed), seed);
  EXPECT_THAT(refusal("local", "z", 300), HasSubstr("the quota of account local is"));
}

KILN_ON_BOTH_DATABASES(QuotaTest);

}  // namespace
}  // namespace kiln
