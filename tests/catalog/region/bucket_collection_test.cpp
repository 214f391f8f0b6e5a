#include "catalog/region/bucket_collection.h"

#include <algorithm>
#include <thread>

#include "catalog/region/bucket_turns.h"
#include "catalog/region/regions.h"
#include "catalog/usage.h"
#include "disk/pump.h"
#include "support/run.h"

namespace kiln {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

class BucketCollectionTest : public test::WithBucket {
 protected:
  Collected collect(bool dry_run = false) { return bucket("operator").collect(dry_run); }
  std::vector<std::string> all_objects() const { return objects.list(""); }
  /// web:1 or web:2 there is what was published here.
  bool is_whole(const std::string& reference) const {
    test::MemoryDisk disk = test::make_disk(size, 1);
    if (reference == "web:2") disk.flip(size / 2);
    const BucketRegion there = bucket();
    return test::same_content(*there.read(there.resolve(reference, Action::see).image), disk);
  }
  static bool has(const Collected& collected, Collectable::Kind kind, const std::string& name) {
    return std::ranges::any_of(collected.items,
                               [&](const Collectable& item) { return item.kind == kind && item.name == name; });
  }

  Image publish_with_part() {
    LocalCatalog catalog(folder / "home", {"alice", false});
    return test::publish(catalog, test::make_disk(size, 1), {"multi", "1", "", 0, {}},
                         {{"disk", "disk1", test::store_part(catalog, test::make_disk(size, 7))}})
        .image;
  }
  /// A copy of an image of the home in which everything was done but its last step.
  struct Halfway {
    Halfway(const FolderRegion& from, BucketRegion& to, const std::string& reference)
        : entry(from.resolve(reference, Action::copy)), manifest(from.manifest(entry.image)) {
      sink = to.receive(entry, manifest, "");
      const auto reader = from.read(entry.image);
      BlockSink* sinks[] = {sink.get()};
      pump(*reader, sinks, {.known = &manifest, .known_is_whole = true});
    }
    ImageEntry entry;
    Manifest manifest;
    std::unique_ptr<RegionSink> sink;
  };
};

TEST_F(BucketCollectionTest, PartsStayAsLongAsTheirImage) {
  const Image image = publish_with_part();
  BucketRegion there = bucket();
  copy(home(), "multi", there);
  EXPECT_THAT(collect().items, IsEmpty());
  EXPECT_THAT(objects.list("disks/"), SizeIs(2));
  EXPECT_THAT(objects.list("copies/"), IsEmpty());
  const Image arrived = there.resolve("multi", Action::see).image;
  EXPECT_TRUE(test::same_content(*there.read(disk_of(arrived, arrived.parts[0])), test::make_disk(size, 7)));

  const Period now = month_period(now_moment().substr(0, 7));
  EXPECT_EQ(bucket("operator").usage(now.from).back().logical, image.total_size());
  EXPECT_EQ(bucket("operator").usage(now.from).back().images, 1u);
  there.remove("multi");
  collect();
  EXPECT_THAT(objects.list("disks/"), IsEmpty());
  EXPECT_THAT(objects.list("chunks/"), IsEmpty());
  const std::vector<UsageSample> samples = bucket("operator").usage(now.from);
  for (const UsageSample& sample : samples) EXPECT_THAT(sample.logical, testing::AnyOf(0u, image.total_size()));
}

TEST_F(BucketCollectionTest, TakesWhatNoImageNeedsAndNothingElse) {
  publish("1", "stable");
  publish("2");
  BucketRegion there = bucket();
  sync_channel(home(), "web:stable", there);
  const std::size_t first = objects.list("chunks/").size();
  copy(home(), "web:2", there);
  EXPECT_THAT(collect().items, IsEmpty());
  const Digest content = there.remove("web:2").image.content;

  const std::vector<std::string> before = all_objects();
  const Collected would = collect(true);
  EXPECT_EQ(all_objects(), before);
  const Collected did = collect();
  for (const Collected& collected : {would, did}) {
    EXPECT_FALSE(collected.postponed);
    EXPECT_GT(collected.bytes, 0u);
    EXPECT_THAT(collected.items, SizeIs(2));
    EXPECT_TRUE(has(collected, Collectable::Kind::disk, to_hex(content)));
    EXPECT_TRUE(has(collected, Collectable::Kind::chunks, "1"));
  }
  EXPECT_THAT(objects.list("chunks/"), SizeIs(first));
  EXPECT_THAT(objects.list("disks/"), SizeIs(1));
  EXPECT_THAT(objects.list("collections/"), IsEmpty());
  EXPECT_TRUE(is_whole("web:1"));
  EXPECT_THAT(collect().items, IsEmpty());

  EXPECT_EQ(copy(home(), "web:2", there).moved_chunks, 1u);
  EXPECT_TRUE(is_whole("web:2"));
}

TEST_F(BucketCollectionTest, FinishesARemovalThatWasKilled) {
  const Image image = publish("1", "stable");
  BucketRegion there = bucket();
  sync_channel(home(), "web:stable", there);
  objects.remove("names/alice/web/1");
  const Collected collected = collect();
  EXPECT_TRUE(has(collected, Collectable::Kind::file, "images/" + image.id + ".json"));
  EXPECT_TRUE(has(collected, Collectable::Kind::file, "channels/alice/web/stable"));
  EXPECT_THAT(all_objects(), ElementsAre(StartsWith("weights/")));
}

TEST_F(BucketCollectionTest, NothingGoesWhileACopyCountsOnIt) {
  publish("1");
  publish("2");
  BucketRegion there = bucket();
  copy(home(), "web:1", there);
  const FolderRegion from = home();
  Halfway halfway(from, there, "web:2");  // sends one chunk, and counts on the others
  there.remove("web:1");
  const std::size_t chunks = objects.list("chunks/").size();
  const Collected collected = collect();
  EXPECT_TRUE(collected.postponed);
  EXPECT_EQ(collected.bytes, 0u);
  EXPECT_THAT(objects.list("chunks/"), SizeIs(chunks));
  EXPECT_THAT(objects.list("disks/"), SizeIs(1));
  halfway.sink->finish();
  EXPECT_TRUE(is_whole("web:2"));
  EXPECT_FALSE(collect().postponed);
  EXPECT_THAT(objects.list("chunks/"), SizeIs(chunks - 1));
  EXPECT_TRUE(is_whole("web:2"));
}

TEST_F(BucketCollectionTest, ACopyThatWasTakenForDeadIsNotSeen) {
  publish("1");
  publish("2");
  BucketRegion there = bucket();
  copy(home(), "web:1", there);
  const FolderRegion from = home();
  Halfway halfway(from, there, "web:2");
  there.remove("web:1");
  for (const std::string& marker : objects.list("copies/")) objects.remove(marker);  // as after a day without a sign
  (void)collect();
  EXPECT_THAT(objects.list("chunks/"), IsEmpty());
  EXPECT_STREQ(error_of([&] { halfway.sink->finish(); }).what(),
               "the copy to region \"west\" has taken so long that a collection took it for dead");
  EXPECT_THAT(there.images(), IsEmpty());
  EXPECT_THAT(objects.list("disks/"), IsEmpty());
  copy(home(), "web:2", there);
  EXPECT_TRUE(is_whole("web:2"));
}

TEST_F(BucketCollectionTest, WhatAKilledCopyHasSentGoes) {
  LocalCatalog catalog(folder / "home", {"alice", false});
  test::publish(catalog, test::make_disk(4 << 20, 5), {"web", "1", "", 0, {}});
  const test::Outcome outcome = test::run({KILN_CATALOG_COPIER, folder / "home", url, (folder / "cache").string()});
  ASSERT_EQ(outcome.status, 128 + 9) << outcome.output;
  wait_for_stragglers();
  EXPECT_THAT(objects.list("copies/"), SizeIs(1));
  // To another home it may still run.
  const BucketObjects elsewhere("west", test::bucket_place(url), folder / "elsewhere");
  EXPECT_TRUE(collect_bucket(elsewhere, false).postponed);
  EXPECT_THAT(objects.list("chunks/"), testing::Not(IsEmpty()));
  const Collected collected = collect();
  EXPECT_FALSE(collected.postponed);
  EXPECT_EQ(collected.items.at(0).why, "its process is dead");
  EXPECT_THAT(all_objects(), IsEmpty());
}

TEST_F(BucketCollectionTest, ACopyWaitsForACollection) {
  publish("1");
  const BucketObjects there("west", test::bucket_place(url), folder / "cache");
  auto turn = std::make_unique<CollectionTurn>(there);
  std::atomic<bool> copied = false;
  std::jthread copier(test::reporting([&] {
    BucketRegion west = bucket();
    copy(home(), "web:1", west);
    copied = true;
  }));
  for (int i = 0; i < 1200 && objects.list("copies/").empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_THAT(objects.list("copies/"), SizeIs(1));
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_FALSE(copied);
  EXPECT_THAT(objects.list("chunks/"), IsEmpty());
  turn.reset();
  copier.join();
  EXPECT_TRUE(is_whole("web:1"));
}

TEST_F(BucketCollectionTest, CopiesRemovalsAndCollectionsAtOnceHarmNoImage) {
  publish("1");
  publish("2");
  std::atomic<bool> done = false;
  std::atomic<int> copies = 0, collected = 0;
  {
    std::vector<std::jthread> threads;
    threads.emplace_back(test::reporting([&] {
      while (!done) {
        if (collect().bytes > 0) ++collected;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    }));
    for (const char* reference : {"web:1", "web:2"})
      threads.emplace_back(test::reporting([&, reference] {
        while (!done) {
          BucketRegion there = bucket();
          copy(home(), reference, there);
          ++copies;
          EXPECT_TRUE(is_whole(reference));
          there.remove(reference);
          std::this_thread::sleep_for(std::chrono::milliseconds(300));
        }
      }));
    for (int i = 0; i < 1200 && (copies <= 3 || collected == 0); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    done = true;
  }
  EXPECT_GT(copies, 3);
  EXPECT_GT(collected, 0);
  BucketRegion there = bucket();
  for (const char* reference : {"web:1", "web:2"}) copy(home(), reference, there);
  (void)collect();
  EXPECT_TRUE(is_whole("web:1"));
  EXPECT_TRUE(is_whole("web:2"));
}

TEST_F(BucketCollectionTest, WhatWentIsStillBilled) {
  publish("1");
  BucketRegion there = bucket();
  copy(home(), "web:1", there);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  there.remove("web:1");
  const Period month = month_period(now_moment().substr(0, 7));
  const auto usage = [&] { return usage_in(bucket().usage(month.from), month); };
  const std::vector<Usage> before = usage();
  (void)collect();
  EXPECT_THAT(objects.list("chunks/"), IsEmpty());
  const std::vector<Usage> after = usage();
  ASSERT_THAT(before, SizeIs(1));
  ASSERT_THAT(after, SizeIs(1));
  EXPECT_GT(before[0].unique, 0);
  EXPECT_EQ(before[0].unique, after[0].unique);
}

TEST_F(BucketCollectionTest, AnImageThatCannotBeReadStopsIt) {
  const Image image = publish("1");
  publish("2");
  BucketRegion there = bucket();
  copy(home(), "web:1", there);
  copy(home(), "web:2", there);
  there.remove("web:2");
  objects.put("images/" + image.id + ".json", std::as_bytes(std::span("{}", 2)));
  const std::size_t chunks = objects.list("chunks/").size();
  EXPECT_STREQ(error_of([&] { (void)collect(); }).what(), "an image of region \"west\" cannot be read");
  EXPECT_THAT(objects.list("chunks/"), SizeIs(chunks));
  EXPECT_THAT(objects.list("collections/"), IsEmpty());
}

TEST_F(BucketCollectionTest, OnlyTheOperatorCollects) {
  const Error error = error_of([&] { (void)bucket("alice").collect(false); });
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_STREQ(error.what(), "only the catalog's operator may collect region \"west\"");
}

}  // namespace
}  // namespace kiln
