#include "catalog/region/bucket_usage.h"

#include <regex>

#include "catalog/region/regions.h"
#include "catalog/usage.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char *january = "2020-01-01T00:00:00Z", *february = "2020-02-01T00:00:00Z",
                     *march = "2020-03-01T00:00:00Z";

/// A home with web:1 of alice and db:1 of bob, which have some chunks in common.
class BucketUsageTest : public test::WithBucket {
 protected:
  BucketUsageTest() {
    publish("1");
    LocalCatalog bobs(folder / "home", Account{"bob", false});
    test::MemoryDisk disk = test::make_disk(size, 1);
    disk.flip(size / 2);
    test::publish(bobs, disk, {"db", "1", "", 0, {}});
  }
  void copy_as(const std::string& account, const std::string& reference) {
    BucketRegion there = bucket(account);
    copy(home(account), reference, there);
  }
  /// Changes a moment in an object, as if that had been then. Returns the new text.
  void rewrite(const std::string& key, const std::string& field, const Moment& moment) {
    const std::vector<std::byte> body = *objects.get(key, 1 << 20);
    const std::string text(reinterpret_cast<const char*>(body.data()), body.size());
    const std::string changed =
        std::regex_replace(text, std::regex("\"" + field + "\": \"[^\"]*\""), "\"" + field + "\": \"" + moment + "\"");
    EXPECT_NE(changed, text);
    objects.put(key, std::as_bytes(std::span(changed)));
  }
  void came(const std::string& account, const Moment& moment) {
    const ImageEntry entry = bucket(account).images().at(0);
    rewrite(BucketObjects::document_key(entry.image.id), "created", moment);
  }
  /// Removes the account's image as if it were that moment.
  void go(const std::string& account, const Moment& moment) {
    BucketRegion there = bucket(account);
    const ImageEntry gone = there.remove(there.images().at(0).image.id);
    rewrite("usage/" + gone.image.id + "." + std::to_string(unix_time(gone.image.created)) + ".json", "removed",
            moment);
  }
  std::vector<Usage> usage_of(const char* month) const {
    const Period period = month_period(month);
    return usage_in(bucket().usage(period.from), period);
  }
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const s3::Listed& chunk : objects.list_objects("chunks/")) sum += chunk.bytes;
    return sum;
  }
  static constexpr std::int64_t january_seconds = 31 * 86400, february_seconds = 29 * 86400;
};

TEST_F(BucketUsageTest, CountsFromTheDayOnWhichAnImageCame) {
  copy_as("alice", "web:1");
  came("alice", january);
  EXPECT_THAT(usage_of("2019-12"), IsEmpty());
  const auto all = usage_of("2020-01");
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].owner, "alice");
  EXPECT_EQ(all[0].region, "west");
  EXPECT_EQ(all[0].unique, Wide(bytes()) * january_seconds);
  EXPECT_EQ(all[0].common, 0);
  EXPECT_EQ(all[0].logical, Wide(size) * january_seconds);
  EXPECT_EQ(all[0].images, january_seconds);
}

TEST_F(BucketUsageTest, WhatTwoOwnersHaveIsDividedAndEndsWithARemoval) {
  copy_as("alice", "web:1");
  came("alice", january);
  const std::uint64_t alices = bytes();
  copy_as("bob", "db:1");
  came("bob", january);
  const std::uint64_t changed = bytes() - alices;  // one chunk differs
  auto all = usage_of("2020-01");
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].stored() + all[1].stored(), Wide(bytes()) * january_seconds);
  EXPECT_EQ(all[1].unique, Wide(changed) * january_seconds);
  EXPECT_GT(all[1].common, 0);

  go("alice", february);
  all = usage_of("2020-01");
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].stored() + all[1].stored(), Wide(bytes()) * january_seconds);
  all = usage_of("2020-02");
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].owner, "bob");
  EXPECT_EQ(all[0].common, 0);
  // One chunk in the middle was alice's alone.
  EXPECT_LT(all[0].unique, Wide(bytes()) * february_seconds);
  EXPECT_GE(all[0].unique, Wide(alices) * february_seconds * 9 / 10);

  go("bob", march);
  EXPECT_THAT(usage_of("2020-01"), SizeIs(2));
  EXPECT_THAT(usage_of("2020-02"), SizeIs(1));
  EXPECT_THAT(usage_of("2020-03"), IsEmpty());
}

TEST_F(BucketUsageTest, AnImageThatComesAgainIsBilledForBothStays) {
  copy_as("alice", "web:1");
  came("alice", january);
  go("alice", february);
  copy_as("alice", "web:1");
  came("alice", march);
  EXPECT_EQ(usage_of("2020-01").at(0).images, january_seconds);
  EXPECT_THAT(usage_of("2020-02"), IsEmpty());
  EXPECT_EQ(usage_of("2020-03").at(0).images, january_seconds);
}

TEST_F(BucketUsageTest, ARemovalThatWasKilledAfterItsRecordCountsForNothing) {
  copy_as("alice", "web:1");
  came("alice", january);
  const BucketObjects there("west", test::bucket_place(url), folder / "cache");
  record_removal(there, there.images("")[0], february);
  EXPECT_EQ(usage_of("2020-02").at(0).images, february_seconds);
}

TEST_F(BucketUsageTest, WhatItsChunksWeighedIsKnownWhenTheyAreGone) {
  copy_as("alice", "web:1");
  came("alice", january);
  const std::uint64_t stored = bytes();
  const BucketObjects there("west", test::bucket_place(url), folder / "cache");
  const Digest content = there.images("")[0].image.content;
  ChunkSizes sizes;
  for (const s3::Listed& chunk : objects.list_objects("chunks/"))
    sizes[*parse_digest(chunk.key.substr(chunk.key.rfind('/') + 1))] = chunk.bytes;
  record_weights(there, there.manifest(content), sizes);
  go("alice", february);
  for (const char* prefix : {"disks/", "chunks/"})
    for (const std::string& key : objects.list(prefix)) objects.remove(key);
  EXPECT_EQ(usage_of("2020-01").at(0).unique, Wide(stored) * january_seconds);
}

TEST_F(BucketUsageTest, ADamagedRecordIsNamed) {
  copy_as("alice", "web:1");
  (void)bucket().remove("web:1");
  const std::string key = objects.list("usage/").at(0);
  objects.put(key, std::as_bytes(std::span("{}", 2)));
  const Error error = test::error_of([&] { (void)bucket().usage(january); });
  EXPECT_STREQ(error.what(), "a record of usage in region \"west\" is damaged");
  EXPECT_THAT(error.evidence(), ElementsAre(testing::StartsWith(url + "/" + key + ": ")));
}

}  // namespace
}  // namespace kiln
