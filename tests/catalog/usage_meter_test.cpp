// Who pays for which byte: shares among owners, and changes that nobody has settled yet, on both databases.
#include "catalog/usage_meter.h"

#include <gmock/gmock.h>
#include <soci/soci.h>

#include "accounts.h"

namespace kiln {
namespace {

constexpr std::uint64_t chunk = chunk_size;  // random bytes are stored as they are

class UsageMeterTest : public test::OnBothDatabases {
 protected:
  /// A disk of these chunks; 0 is a hole.
  static test::MemoryDisk disk_of(const std::vector<unsigned>& seeds) {
    std::vector<std::byte> bytes(seeds.size() * chunk);
    for (std::size_t i = 0; i < seeds.size(); ++i)
      if (seeds[i] != 0) test::fill(std::span(bytes).subspan(i * chunk, chunk), test::Piece::Kind::random, seeds[i]);
    return test::MemoryDisk(std::move(bytes));
  }
  Image publish(const std::string& owner, const std::string& version, const std::vector<unsigned>& seeds) {
    return test::publish(accounts.as(owner), disk_of(seeds), {"web", version, "", 0, {}}).image;
  }
  Store& store() { return accounts.as("operator").view().store(); }
  std::vector<UsageSample> samples() {
    settle_usage(store());
    return store().usage.samples(test::long_ago, test::far_away);
  }
  /// "unique/common/logical in chunks × images" at the end; bytes where it is no whole number of chunks.
  std::string now(const std::string& owner) {
    UsageSample last;
    for (const UsageSample& sample : samples())
      if (sample.owner == owner) last = sample;
    const auto text = [](std::uint64_t bytes) {
      return bytes % chunk == 0 ? std::to_string(bytes / chunk) : std::to_string(bytes) + "B";
    };
    return text(last.unique) + "/" + text(last.common) + "/" + text(last.logical) + " x" + std::to_string(last.images);
  }
  void sql(const std::string& statement) {
    Database db(database.empty() ? (folder / "c/records.sqlite").string() : database);
    db.write([&](soci::session& session) { session << statement; });
  }
};

TEST_P(UsageMeterTest, AChunkIsDividedAmongItsOwners) {
  (void)publish("alice", "1", {1, 2});
  EXPECT_EQ(now("alice"), "2/0/2 x1");
  (void)publish("bob", "1", {1, 3, 0, 3});  // one chunk is alice's, too; one is there twice, and one is a hole
  EXPECT_EQ(now("alice"), "1/32768B/2 x1");
  EXPECT_EQ(now("bob"), "1/32768B/4 x1");
  (void)publish("carol", "1", {1});
  // 65536 is 21845 three times and one byte, which the first by name has.
  EXPECT_EQ(now("alice"), "1/21846B/2 x1");
  EXPECT_EQ(now("bob"), "1/21845B/4 x1");
  EXPECT_EQ(now("carol"), "0/21845B/1 x1");
  (void)accounts.as("alice").remove("web:1");
  EXPECT_EQ(now("alice"), "0/0/0 x0");
  EXPECT_EQ(now("bob"), "1/32768B/4 x1");
  (void)accounts.as("carol").remove("web:1");
  EXPECT_EQ(now("bob"), "2/0/4 x1");
}

TEST_P(UsageMeterTest, AllSharesTogetherAreTheStore) {
  for (unsigned i = 0; i < 7; ++i) {
    (void)publish(std::string(1, static_cast<char>('a' + i)), "1", {1, 2 + i % 3, 10 + i, 1});
    std::uint64_t sum = 0, stored = 0;
    settle_usage(store());
    std::map<std::string, UsageSample> last;
    for (const UsageSample& sample : samples()) last[sample.owner] = sample;
    for (const auto& [owner, sample] : last) sum += sample.unique + sample.common;
    for (const auto& pack : store().open_packs([this] {
           std::vector<std::string> ids;
           for (const PackRecord& record : store().records.packs()) ids.push_back(record.id);
           return ids;
         }()))
      for (const PackEntry& entry : pack->entries()) stored += entry.stored;
    EXPECT_EQ(sum, stored) << i;
  }
}

TEST_P(UsageMeterTest, MoreImagesOfADiskCostNoBytes) {
  (void)publish("alice", "1", {1, 2});
  (void)publish("alice", "2", {1, 2});
  EXPECT_EQ(now("alice"), "2/0/4 x2");
  (void)publish("alice", "3", {1, 3});  // another disk of the same owner shares a chunk with nobody else
  EXPECT_EQ(now("alice"), "3/0/6 x3");
  (void)accounts.as("alice").remove("web:1");
  EXPECT_EQ(now("alice"), "3/0/4 x2");
  (void)accounts.as("alice").remove("web:2");
  EXPECT_EQ(now("alice"), "2/0/2 x1");
}

TEST_P(UsageMeterTest, MembersOfAShareAndThePublicPayNothing) {
  (void)publish("alice", "1", {1});
  accounts.share("alice", "web:1", "bob");
  (void)accounts.life("operator").open_up("alice/web:1", true);
  EXPECT_EQ(now("alice"), "1/0/1 x1");
  for (const UsageSample& sample : samples()) EXPECT_EQ(sample.owner, "alice");
}

TEST_P(UsageMeterTest, WhatIsGoneBeforeAnybodySettledIsStillCounted) {
  const Image image = publish("alice", "1", {1, 2});
  (void)accounts.as("alice").remove("web:1");
  EXPECT_TRUE(test::files_in(folder / "c/packs").empty());
  // Both are changes of one second, perhaps: then there is no time in between to be paid for.
  const auto all = samples();
  if (all.size() == 2) {
    EXPECT_EQ(all[0].moment, image.created);
    EXPECT_EQ(all[0].unique, 2 * chunk);
    EXPECT_EQ(all[1].unique, 0U);
  } else {
    EXPECT_TRUE(all.empty() || all.back().unique == 0) << all.size();
  }
}

TEST_P(UsageMeterTest, ChangesThatACrashLeftAreSettledInOrder) {
  const Image one = publish("alice", "1", {1}), two = publish("bob", "1", {1, 2});
  // The change is recorded with the image; the sample was never made.
  sql("UPDATE usage_changes SET moment = '2026-01-01T00:00:00Z' WHERE owner = 'alice'");
  sql("UPDATE usage_changes SET moment = '2026-01-02T00:00:00Z' WHERE owner = 'bob'");
  const auto all = samples();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].moment, "2026-01-01T00:00:00Z");
  EXPECT_EQ(all[0].owner, "alice");
  EXPECT_EQ(all[0].unique, chunk);
  EXPECT_EQ(all[1].moment, "2026-01-02T00:00:00Z");
  EXPECT_EQ(all[1].common + all[2].common, chunk);
  EXPECT_EQ(all[2].owner, "bob");
  EXPECT_EQ(all[2].unique, chunk);
  EXPECT_TRUE(store().usage.pending(now_moment()).changes.empty());
  EXPECT_EQ(samples().size(), 3U);  // settling again adds nothing
}

TEST_P(UsageMeterTest, TheTrashCountsUntilItsTermIsOver) {
  const Image image = publish("alice", "1", {1});
  (void)publish("alice", "2", {2});
  settle_usage(store());
  ASSERT_TRUE(store().images.trash(image.id, now_moment(), "2500-06-01T00:00:00Z"));
  EXPECT_EQ(now("alice"), "2/0/2 x2");
  // Nothing ran when the term ended, and something else happens later.
  settle_usage(store(), "2500-07-01T00:00:00Z");
  const auto all = store().usage.samples(test::long_ago, test::far_away);
  EXPECT_EQ(all.back().moment, "2500-06-01T00:00:00Z");
  EXPECT_EQ(all.back().unique, chunk);
  EXPECT_EQ(all.back().images, 1U);
}

TEST_P(UsageMeterTest, AClockThatIsSetBackChangesNoPast) {
  (void)publish("alice", "1", {1});
  sql("UPDATE usage_changes SET moment = '2500-01-01T00:00:00Z'");
  EXPECT_EQ(samples().back().moment, "2500-01-01T00:00:00Z");
  (void)publish("alice", "2", {2});
  const auto all = samples();
  EXPECT_EQ(all.back().moment, "2500-01-01T00:00:00Z");
  EXPECT_EQ(all.back().unique, 2 * chunk);
  EXPECT_EQ(all.size(), 1U);  // of one moment there is one sample
}

TEST_P(UsageMeterTest, OfTwoWhoSettleOneIsTaken) {
  (void)publish("alice", "1", {1});
  const auto pending = store().usage.pending(now_moment());
  ASSERT_EQ(pending.changes.size(), 1U);
  const UsageSample sample{pending.changes[0].moment, home_region, "alice", 1, 0, 1, 1};
  EXPECT_TRUE(store().usage.settle(pending, {sample}));
  EXPECT_FALSE(store().usage.settle(pending, {sample, sample}));
  EXPECT_EQ(samples().size(), 1U);
  (void)publish("alice", "2", {2});
  EXPECT_GT(store().usage.pending(now_moment()).changes.at(0).sequence, pending.changes[0].sequence);
}

TEST_P(UsageMeterTest, ADamagedManifestStopsNoBill) {
  const Image image = publish("alice", "1", {1});
  (void)publish("alice", "2", {2});
  std::filesystem::remove(folder / "c/disks" / (to_hex(image.content) + ".manifest"));
  EXPECT_EQ(now("alice"), "1/0/2 x2");
}

TEST_P(UsageMeterTest, SamplesOfAPeriodBeginWithWhatWasThereBefore) {
  (void)publish("alice", "1", {1});
  sql("UPDATE usage_changes SET moment = '2026-01-01T00:00:00Z'");
  settle_usage(store());
  (void)publish("alice", "2", {2});
  sql("UPDATE usage_changes SET moment = '2026-02-01T00:00:00Z'");
  settle_usage(store());
  const auto moments = [&](const Moment& from, const Moment& to) {
    std::vector<std::string> out;
    for (const UsageSample& sample : store().usage.samples(from, to)) out.push_back(sample.moment.substr(0, 7));
    return out;
  };
  using testing::ElementsAre;
  EXPECT_THAT(moments("2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"), ElementsAre());
  EXPECT_THAT(moments("2026-01-15T00:00:00Z", "2026-01-20T00:00:00Z"), ElementsAre("2026-01"));
  EXPECT_THAT(moments("2026-01-15T00:00:00Z", "2026-03-01T00:00:00Z"), ElementsAre("2026-01", "2026-02"));
  EXPECT_THAT(moments("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"), ElementsAre("2026-02"));
}

KILN_ON_BOTH_DATABASES(UsageMeterTest);

}  // namespace
}  // namespace kiln
