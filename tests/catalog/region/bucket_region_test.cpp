#include "catalog/region/bucket_region.h"

#include <atomic>
#include <thread>

#include "catalog/pack_file.h"
#include "catalog/region/regions.h"
#include "support/run.h"

namespace kiln {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

class BucketRegionTest : public test::WithBucket {
 protected:
  /// Copies web:1 of the home in a process of its own, which kills itself when half of it is done.
  void copy_and_be_killed() const {
    const test::Outcome outcome = test::run({KILN_CATALOG_COPIER, folder / "home", url, (folder / "cache").string()});
    ASSERT_EQ(outcome.status, 128 + 9) << outcome.output;
    wait_for_stragglers();
  }
  void publish_large() {
    LocalCatalog catalog(folder / "home", {"alice", false});
    test::publish(catalog, test::make_disk(24 << 20, 5), {"web", "1", "", 0, {}});
  }
};

TEST_F(BucketRegionTest, HoldsWhatItsPageSays) {
  const Image image = publish("1", "stable");
  BucketRegion there = bucket();
  const CopyReport report = sync_channel(home(), "web:stable", there);
  EXPECT_THAT(objects.list("chunks/"), SizeIs(report.all_chunks));
  EXPECT_THAT(objects.list("disks/"), ElementsAre("disks/" + to_hex(image.content) + ".manifest"));
  EXPECT_THAT(objects.list("images/"), ElementsAre("images/" + image.id + ".json"));
  EXPECT_THAT(objects.list("names/"), ElementsAre("names/alice/web/1"));
  EXPECT_THAT(objects.list("channels/"), ElementsAre("channels/alice/web/stable"));
  EXPECT_THAT(objects.list("copies/"), IsEmpty());
  std::uint64_t bytes = 0;
  for (const std::string& key : objects.list("chunks/")) bytes += objects.get(key, 1 << 20)->size();
  EXPECT_EQ(bytes, report.moved_bytes);
}

TEST_F(BucketRegionTest, TwoCopiesAtOnceStoreEachChunkOnce) {
  publish("1");
  publish("2");
  std::atomic<std::uint64_t> moved = 0;
  {
    std::vector<std::jthread> threads;
    for (const char* reference : {"web:1", "web:2"})
      threads.emplace_back(test::reporting([&, reference] {
        BucketRegion there = bucket();
        moved += copy(home(), reference, there).moved_chunks;
      }));
  }
  EXPECT_EQ(objects.list("chunks/").size(), moved);
  EXPECT_THAT(names(bucket()), testing::UnorderedElementsAre("alice/web:2", "alice/web:1"));
}

TEST_F(BucketRegionTest, AKilledCopyGoesOnWhereItWas) {
  publish_large();
  copy_and_be_killed();
  EXPECT_THAT(names(bucket()), IsEmpty());
  EXPECT_THAT(objects.list("copies/"), SizeIs(1));
  const std::size_t there_already = objects.list("chunks/").size();
  EXPECT_GT(there_already, 0u);

  BucketRegion there = bucket();
  const CopyReport report = copy(home(), "web", there);
  EXPECT_EQ(report.moved_chunks, report.all_chunks - there_already);
  EXPECT_THAT(objects.list("chunks/"), SizeIs(report.all_chunks));
  EXPECT_THAT(objects.list("copies/"), IsEmpty());
  EXPECT_TRUE(test::same_content(*there.read(report.image.image), test::make_disk(24 << 20, 5)));
}

TEST_F(BucketRegionTest, AFlippedByteIsRefusedOnArrival) {
  publish("1");
  BucketRegion there = bucket();
  copy(home(), "web", there);
  const std::string key = objects.list("chunks/").at(3);
  std::vector<std::byte> record = *objects.get(key, 1 << 20);
  record[record_header_size + 7] ^= std::byte{1};
  objects.put(key, record);
  FolderRegion other = home("alice", "other");
  const Error error = error_of([&] { copy(bucket(), "web", other); });
  EXPECT_THAT(error.what(), StartsWith("chunk sha256:"));
  EXPECT_THAT(error.what(), HasSubstr("of region \"west\" is damaged: "));
  EXPECT_THAT(error.evidence(), ElementsAre(url + "/" + key));
  EXPECT_THAT(names(other), IsEmpty());
}

TEST_F(BucketRegionTest, ADamagedManifestOrDocumentIsRefused) {
  const Image image = publish("1");
  BucketRegion there = bucket();
  copy(home(), "web", there);
  const std::string manifest = objects.list("disks/").at(0), document = "images/" + image.id + ".json";
  std::vector<std::byte> bytes = *objects.get(manifest, 1 << 20);
  bytes[70] ^= std::byte{1};
  objects.put(manifest, bytes);
  std::filesystem::remove_all(folder / "cache");
  EXPECT_STREQ(error_of([&] { (void)bucket().manifest(image); }).what(), "region \"west\" holds a damaged manifest");

  objects.put(document, std::as_bytes(std::span("{}", 2)));
  EXPECT_STREQ(error_of([&] { (void)bucket().images(); }).what(), "an image of region \"west\" cannot be read");
}

TEST_F(BucketRegionTest, WhatWasRemovedFromItIsSentAgain) {
  const Image image = publish("1");
  BucketRegion there = bucket();
  const CopyReport report = copy(home(), "web", there);
  for (const char* prefix : {"names/", "images/", "disks/", "chunks/"})
    for (const std::string& key : objects.list(prefix)) objects.remove(key);
  EXPECT_EQ(copy(home(), "web", there).moved_chunks, report.moved_chunks);
}

TEST_F(BucketRegionTest, AWrongSecretIsRefused) {
  publish("1");
  s3::BucketPlace place = test::bucket_place(url);
  place.secret_key = "wrong";
  BucketRegion there("west", place, {"alice", false}, folder / "cache");
  EXPECT_EQ(error_of([&] { copy(home(), "web", there); }).failure(), Failure::refused);
  EXPECT_EQ(error_of([&] { (void)there.images(); }).failure(), Failure::refused);
}

TEST_F(BucketRegionTest, AnotherImageDoesNotTakeAClaimedName) {
  publish("1");
  BucketRegion there = bucket();
  copy(home(), "web", there);
  LocalCatalog other(folder / "other", {"alice", false});
  const Image image = test::publish(other, test::make_disk(1 << 20, 9), {"web", "1", "", 0, {}}).image;
  // As it is when both look before one of them has claimed it.
  const FolderRegion from = home("alice", "other");
  const Manifest manifest = from.manifest(image);
  const auto sink = there.receive(from.images()[0], manifest, "");
  const auto reader = from.read(image);
  BlockSink* sinks[] = {sink.get()};
  pump(*reader, sinks, {.known = &manifest, .known_is_whole = true});
  EXPECT_STREQ(error_of([&] { sink->finish(); }).what(), "image web:1 exists already");
  EXPECT_THAT(objects.list("images/"), SizeIs(1));
  EXPECT_THAT(names(there), ElementsAre("alice/web:1"));
}

TEST_F(BucketRegionTest, ARemovedImageLeavesItsChunksAndARecord) {
  const Image image = publish("1", "stable");
  publish("2");
  BucketRegion there = bucket();
  sync_channel(home(), "web:stable", there);
  copy(home(), "web:2", there);
  there.point(there.resolve("web:2", Action::promote), "testing");
  const std::size_t chunks = objects.list("chunks/").size();

  EXPECT_EQ(there.remove("web:stable").image.id, image.id);
  EXPECT_THAT(names(there), ElementsAre("alice/web:2"));
  EXPECT_THAT(objects.list("images/"), SizeIs(1));
  EXPECT_THAT(objects.list("channels/"), ElementsAre("channels/alice/web/testing"));
  EXPECT_THAT(objects.list("chunks/"), SizeIs(chunks));
  EXPECT_THAT(objects.list("usage/"), ElementsAre(StartsWith("usage/" + image.id + ".")));
  EXPECT_STREQ(error_of([&] { there.remove("web:1"); }).what(), "there is no image \"web:1\" in region \"west\"");
  EXPECT_EQ(copy(home(), "web:1", there).moved_chunks, 0u);
  EXPECT_THAT(names(there), testing::UnorderedElementsAre("alice/web:2", "alice/web:1"));
  EXPECT_THAT(there.resolve("web:1", Action::see).channels, IsEmpty());
}

TEST_F(BucketRegionTest, OnlyItsOwnerAndTheOperatorRemoveAnImage) {
  publish("1");
  publish("2");
  BucketRegion there = bucket(), bobs = bucket("bob"), operators = bucket("operator");
  copy(home(), "web:1", there);
  copy(home(), "web:2", there);
  EXPECT_STREQ(error_of([&] { bobs.remove("alice/web:1"); }).what(),
               "there is no image \"alice/web:1\" in region \"west\"");
  EXPECT_THAT(names(there), SizeIs(2));
  operators.remove("alice/web:1");
  EXPECT_THAT(names(there), ElementsAre("alice/web:2"));
}

TEST_F(BucketRegionTest, AnImageIsRemovedWholeBesideACopyOfIt) {
  publish("1");
  std::atomic<bool> done = false;
  std::atomic<int> copies = 0, removals = 0;
  const auto until_done = [&done](const auto& step) {
    while (!done) step();
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i)
      threads.emplace_back(test::reporting([&] {
        until_done([&] {
          BucketRegion there = bucket();
          copies += !copy(home(), "web:1", there).was_there;
        });
      }));
    threads.emplace_back(test::reporting([&] {
      BucketRegion there = bucket();
      until_done([&] {
        try {
          there.remove("web:1");
          ++removals;
        } catch (const Error& error) {
          EXPECT_EQ(error.failure(), Failure::invalid) << error.what();  // there is none at the moment
        }
      });
    }));
    for (int i = 0; i < 600 && (copies <= 3 || removals <= 3); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    done = true;
  }
  EXPECT_GT(copies, 3);
  EXPECT_GT(removals, 3);
  BucketRegion there = bucket();
  copy(home(), "web:1", there);
  EXPECT_THAT(names(there), ElementsAre("alice/web:1"));
  EXPECT_TRUE(test::same_content(*there.read(there.images()[0].image), test::make_disk(size, 1)));
}

}  // namespace
}  // namespace kiln
