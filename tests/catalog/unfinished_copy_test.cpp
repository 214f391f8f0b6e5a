// A copy into a folder that was killed, and the one that goes on from what it left.
#include "catalog/unfinished_copy.h"

#include <atomic>
#include <fstream>
#include <thread>

#include "catalog/collection.h"
#include "catalog/region/regions.h"
#include "catalog/store.h"
#include "support/run.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class UnfinishedCopyTest : public test::Homes {
 protected:
  UnfinishedCopyTest() {
    LocalCatalog catalog(folder / "home", {"alice", false});
    test::publish(catalog, disk, {"web", "1", "", 0, {}});
  }

  FolderRegion west() const { return test::folder_region("west", folder / "west", "alice"); }
  std::set<std::string> staging() const { return test::files_in(folder / "west/staging"); }
  /// The only file of that kind which is staged.
  fs::path staged(const std::string& extension) const {
    for (const std::string& name : staging())
      if (name.ends_with(extension)) return folder / "west/staging" / name;
    ADD_FAILURE() << "nothing is staged";
    return {};
  }
  /// Copies in a process of its own, which is killed when a part of the pack is written. What it left, collected.
  void copy_and_be_killed() {
    const test::Outcome outcome = test::run({KILN_CATALOG_COPIER, folder / "home", folder / "west"});
    ASSERT_EQ(outcome.status, 128 + 9) << outcome.output;
    EXPECT_THAT(names(west()), IsEmpty());
    EXPECT_THAT(staging(), SizeIs(2)) << "a pack and its note";
  }
  std::vector<PackEntry> left() const {
    const auto entries = PackFile(staged(".pack")).entries();
    return {entries.begin(), entries.end()};
  }
  CopyReport copy_again() {
    FolderRegion there = west();
    const CopyReport report = copy(home(), "web", there);
    EXPECT_EQ(report.moved_chunks + report.resumed_chunks, report.all_chunks);
    EXPECT_TRUE(test::same_content(*there.read(report.image.image), disk));
    LocalCatalog catalog(folder / "west");
    EXPECT_THAT(catalog.verify().damaged, IsEmpty());
    EXPECT_THAT(staging(), IsEmpty());
    return report;
  }
  static std::vector<Collectable> waiting(const Collected& collected) {
    std::vector<Collectable> out;
    for (const Collectable& item : collected.items)
      if (item.waits) out.push_back(item);
    return out;
  }

  static constexpr std::uint64_t large = 32 << 20;
  test::MemoryDisk disk = test::make_disk(large, 5);
};

TEST_F(UnfinishedCopyTest, OnlyWhatTheKilledOneLackedIsMoved) {
  copy_and_be_killed();
  const std::vector<PackEntry> there = left();
  ASSERT_GT(there.size(), 40u);
  // Reading one of those chunks at the source would be an error.
  const auto source = test::only_file(folder / "home/packs");
  for (const PackEntry& entry : PackFile(source).entries())
    if (entry.digest == there.front().digest || entry.digest == there.back().digest)
      test::flip_byte(source, entry.offset + record_header_size + 5);
  const CopyReport report = copy_again();
  EXPECT_GE(report.resumed_chunks, there.size() - 1) << "the last one may be cut off";
  EXPECT_GT(report.moved_chunks, 0u);
  EXPECT_GE(report.resumed_bytes, (4u << 20) - 2 * chunk_size);
  EXPECT_EQ(report.moved_bytes + report.resumed_bytes, fs::file_size(test::only_file(folder / "west/packs")));
}

TEST_F(UnfinishedCopyTest, OneThatIsKilledAgainLosesNothing) {
  copy_and_be_killed();
  const std::size_t first = left().size();
  copy_and_be_killed();
  EXPECT_GE(left().size() + 1, first);
  EXPECT_GE(copy_again().resumed_chunks + 1, first);
}

TEST_F(UnfinishedCopyTest, OneThatIsInterruptedIsGoneOnFrom) {
  std::stop_source stop;
  const FolderRegion from = home();
  const auto interrupt = [&](std::uint64_t done, std::uint64_t total) {
    if (done >= total * 3 / 4) stop.request_stop();
    std::this_thread::sleep_for(60ms);  // so that every batch is told of
  };
  const Error error = test::error_of([&] {
    FolderRegion there = west();
    copy_image(from, from.resolve("web", Action::copy), there, {.stop = stop.get_token(), .progress = interrupt});
  });
  EXPECT_EQ(error.failure(), Failure::cancelled);
  EXPECT_THAT(staging(), SizeIs(2));
  EXPECT_THAT(LocalCatalog(folder / "west").view().store().leases.list(), IsEmpty());
  EXPECT_GT(copy_again().resumed_chunks, 40u);
}

TEST_F(UnfinishedCopyTest, OneThatIsInterruptedBeforeItGoesOnLosesNothing) {
  copy_and_be_killed();
  const std::size_t chunks = left().size();
  std::stop_source stop;
  stop.request_stop();
  const FolderRegion from = home();
  const Error error = test::error_of([&] {
    FolderRegion there = west();
    copy_image(from, from.resolve("web", Action::copy), there, {.stop = stop.get_token()});
  });
  EXPECT_EQ(error.failure(), Failure::cancelled);
  EXPECT_EQ(left().size(), chunks);
  EXPECT_GE(copy_again().resumed_chunks + 1, chunks);
}

TEST_F(UnfinishedCopyTest, OneWhoseSourceFailedIsGoneOnFrom) {
  const auto source = test::only_file(folder / "home/packs");
  const std::uint64_t at = PackFile(source).entries().back().offset + record_header_size + 5;
  test::flip_byte(source, at);
  const Error error = test::error_of([&] {
    FolderRegion there = west();
    copy(home(), "web", there);
  });
  EXPECT_THAT(error.what(), HasSubstr("is damaged"));
  EXPECT_THAT(staging(), SizeIs(2));
  test::flip_byte(source, at);
  EXPECT_GT(copy_again().resumed_chunks, 40u);
}

TEST_F(UnfinishedCopyTest, IsKeptForItsTermAndNoLonger) {
  copy_and_be_killed();
  LocalCatalog catalog(folder / "west", {"operator", true});
  Store& store = catalog.view().store();
  EXPECT_FALSE(has_leftovers(store)) << "or every one who opens the store would collect";
  EXPECT_THAT(store.leases.list(), IsEmpty()) << "its quota is free";
  const fs::path pack = staged(".pack");
  for (const bool dry_run : {true, false}) {
    const auto kept = waiting(collect(store, {.dry_run = dry_run}));
    ASSERT_THAT(kept, SizeIs(1));
    EXPECT_EQ(kept[0].name, "staging/" + pack.filename().string());
    EXPECT_EQ(kept[0].bytes, fs::file_size(pack));
    const std::string content = to_hex(home().images()[0].image.content).substr(0, 12);
    EXPECT_THAT(kept[0].why, HasSubstr("a copy of sha256:" + content + " can go on from it until 2"));
    EXPECT_THAT(staging(), SizeIs(2));
  }
  fs::last_write_time(pack, fs::file_time_type::clock::now() - unfinished_copy_term + 1min);
  EXPECT_FALSE(has_leftovers(store));
  fs::last_write_time(pack, fs::file_time_type::clock::now() - unfinished_copy_term - 1min);
  EXPECT_TRUE(has_leftovers(store));
  EXPECT_EQ(copy_again().resumed_chunks, 0u);
}

TEST_F(UnfinishedCopyTest, GoesWhenItsContentHasArrivedOtherwise) {
  copy_and_be_killed();
  LocalCatalog catalog(folder / "west", {"alice", true});
  test::publish(catalog, disk, {"other", "1", "", 0, {}});
  EXPECT_THAT(waiting(collect(catalog.view().store())), IsEmpty());
  EXPECT_THAT(staging(), IsEmpty());
}

TEST_F(UnfinishedCopyTest, WhatIsDamagedInItIsMovedAgain) {
  copy_and_be_killed();
  const std::vector<PackEntry> there = left();
  test::flip_byte(staged(".pack"), there[10].offset + record_header_size + 100);
  EXPECT_EQ(copy_again().resumed_chunks, 10u);
}

TEST_F(UnfinishedCopyTest, ATailOfGarbageIsCutOff) {
  copy_and_be_killed();
  const std::vector<PackEntry> there = left();
  const fs::path pack = staged(".pack");
  test::cut_file(pack, there[20].offset + 1000);
  std::ofstream(pack, std::ios::app | std::ios::binary) << std::string(300'000, '\xa5');
  EXPECT_EQ(copy_again().resumed_chunks, 20u);
}

TEST_F(UnfinishedCopyTest, EndsAtTheFirstHole) {
  copy_and_be_killed();
  const std::vector<PackEntry> there = left();
  const std::vector<std::byte> zeros(there[16].offset - there[15].offset);
  File::open_write(staged(".pack")).write_at(there[15].offset, zeros);
  EXPECT_EQ(copy_again().resumed_chunks, 15u);
}

TEST_F(UnfinishedCopyTest, APackWithoutItsBeginningIsNothing) {
  copy_and_be_killed();
  File::open_write(staged(".pack")).write_at(0, std::vector<std::byte>(pack_header_size));
  EXPECT_EQ(copy_again().resumed_chunks, 0u);
}

TEST_F(UnfinishedCopyTest, ChunksOfAnotherDiskAreNotTaken) {
  copy_and_be_killed();
  LocalCatalog catalog(folder / "home", {"alice", false});
  const Image other = test::publish(catalog, test::make_disk(1 << 20, 9), {"other", "1", "", 0, {}}).image;
  const fs::path note = staged(".copy");
  std::string text = read_text(note);
  text.replace(text.find("sha256:"), 71, "sha256:" + to_hex(other.content));
  write_text(note, text);
  FolderRegion there = west();
  const CopyReport report = copy(home(), "other", there);
  EXPECT_EQ(report.resumed_chunks, 0u);
  EXPECT_EQ(report.moved_chunks, report.all_chunks);
}

TEST_F(UnfinishedCopyTest, AnotherBootOfTheHostDoesNotTouchIt) {
  copy_and_be_killed();
  write_text(staged(".copy"), "kiln-copy-1\nsha256:" + to_hex(home().images()[0].image.content) + "\nanother\n");
  FolderRegion there = west();
  EXPECT_EQ(copy(home(), "web", there).resumed_chunks, 0u);
}

TEST_F(UnfinishedCopyTest, OneThatLivesIsLeftAlone) {
  FolderRegion there = west();
  const FolderRegion from = home();
  const ImageEntry image = from.resolve("web", Action::copy);
  const Manifest manifest = from.manifest(image.image);
  auto sink = there.receive(image, manifest, "");
  sink->resume(manifest, {});
  const auto reader = from.read(image.image);
  BlockSink* sinks[] = {sink.get()};
  pump(*reader, sinks, {.known = &manifest, .known_is_whole = true});
  LocalCatalog catalog(folder / "west", {"alice", true});
  Store& store = catalog.view().store();
  EXPECT_THAT(adopt_unfinished(store, manifest, folder / "west/staging/taken"), IsEmpty());
  // Also when it was stopped for so long that a collection took it for dead.
  for (const LeaseRecord& lease : store.leases.list()) store.leases.end(lease.id);
  collect(store, {.grace = 0s});
  EXPECT_THAT(adopt_unfinished(store, manifest, folder / "west/staging/taken"), IsEmpty());
  EXPECT_THAT(test::error_of([&] { sink->finish(); }).what(), HasSubstr("its lease ended"));
  sink.reset();
  EXPECT_THAT(staging(), IsEmpty());
}

TEST_F(UnfinishedCopyTest, OneOfManyGetsIt) {
  copy_and_be_killed();
  const Manifest manifest = home().manifest(home().images()[0].image);
  std::atomic<int> got = 0;
  {
    LocalCatalog catalog(folder / "west", {"alice", true});
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&, i] {
        const fs::path into = folder / "west/staging" / ("taken" + std::to_string(i) + ".pack");
        if (!adopt_unfinished(catalog.view().store(), manifest, into).empty()) ++got;
      });
  }
  EXPECT_EQ(got, 1);
  EXPECT_THAT(staging(), ElementsAre(HasSubstr("taken"))) << "and no note";
}

TEST_F(UnfinishedCopyTest, TwoCopiesAtOnceBothSucceed) {
  copy_and_be_killed();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i)
      threads.emplace_back([&] {
        FolderRegion there = west();
        EXPECT_NO_THROW(copy(home(), "web", there));
      });
  }
  EXPECT_THAT(names(west()), ElementsAre("alice/web:1"));
  EXPECT_TRUE(test::same_content(*west().read(west().images()[0].image), disk));
  EXPECT_THAT(staging(), IsEmpty());
}

TEST_F(UnfinishedCopyTest, CountsAgainstTheQuotaOfWhoGoesOn) {
  copy_and_be_killed();
  LocalCatalog(folder / "west").view().store().leases.set_quota(home_region, "alice", std::nullopt, 1 << 20);
  FolderRegion there = west();
  const Error error = test::error_of([&] { copy(home(), "web", there); });
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_THAT(names(west()), IsEmpty());
  EXPECT_THAT(staging(), IsEmpty());
}

}  // namespace
}  // namespace kiln
