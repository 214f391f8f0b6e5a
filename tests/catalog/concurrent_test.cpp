#include <gmock/gmock.h>

#include <future>

#include "fixture.h"
#include "support/run.h"

namespace kiln {
namespace {

constexpr std::uint64_t MiB = 1 << 20;

/// Runs one publisher for each seed at the same time; names them p0, p1, ….
std::vector<test::Outcome> publish_together(const std::filesystem::path& folder, const std::vector<int>& seeds,
                                            const std::string& version) {
  std::vector<std::future<test::Outcome>> running;
  for (std::size_t i = 0; i < seeds.size(); ++i)
    running.push_back(std::async(std::launch::async, [=] {
      return test::run(
          {KILN_CATALOG_PUBLISHER, folder, "p" + std::to_string(i), version, std::to_string(seeds[i]), "6"});
    }));
  std::vector<test::Outcome> outcomes;
  for (auto& outcome : running) outcomes.push_back(outcome.get());
  return outcomes;
}

TEST(Concurrent, FourProcessesMakeACatalogAndPublishIntoItAtTheSameTime) {
  const test::TempDir folder;
  for (const test::Outcome& outcome : publish_together(folder.path() / "c", {1, 2, 3, 4}, "1"))
    EXPECT_EQ(outcome.status, 0) << outcome.output;
  const LocalCatalog catalog(folder.path() / "c");
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(test::same_content(*catalog.open(*catalog.find("p" + std::to_string(i))),
                                   test::make_disk(6 * MiB, static_cast<std::uint64_t>(i) + 1)));
  EXPECT_TRUE(catalog.verify().damaged.empty());
  EXPECT_TRUE(test::files_in(catalog.folder() / "staging").empty());
}

TEST(Concurrent, EqualContentIsRecordedOnce) {
  const test::TempDir folder;
  for (const test::Outcome& outcome : publish_together(folder.path() / "c", {7, 7, 7, 7}, "1"))
    EXPECT_EQ(outcome.status, 0) << outcome.output;
  const LocalCatalog catalog(folder.path() / "c");
  const StoreStatistics statistics = catalog.statistics();
  EXPECT_EQ(statistics.images, 4u);
  EXPECT_EQ(statistics.disks, 1u);
  EXPECT_EQ(statistics.packs, 1u);
  EXPECT_EQ(test::files_in(catalog.folder() / "packs").size(), 1u);
  EXPECT_TRUE(catalog.verify().damaged.empty());
}

TEST(Concurrent, VersionsOfTodayAreEachGivenOnce) {
  const test::TempDir folder;
  std::vector<std::future<test::Outcome>> running;
  for (int i = 0; i < 4; ++i)
    running.push_back(std::async(std::launch::async, [&, i] {
      return test::run({KILN_CATALOG_PUBLISHER, folder.path() / "c", "web", "", std::to_string(i % 2), "1"});
    }));
  for (auto& outcome : running) EXPECT_EQ(outcome.get().status, 0);
  std::set<std::string> versions;
  for (const ImageEntry& entry : LocalCatalog(folder.path() / "c").list()) versions.insert(entry.image.version);
  EXPECT_EQ(versions.size(), 4u);
}

TEST(Concurrent, RemovingWhileOthersPublishLosesNothing) {
  const test::TempDir folder;
  LocalCatalog catalog(folder.path() / "c");
  test::publish(catalog, test::make_disk(6 * MiB, 1), {"old", "1", "", 0, {}});
  auto publishers = std::async(std::launch::async, publish_together, folder.path() / "c", std::vector{1, 1, 2}, "1");
  catalog.remove("old");
  for (const test::Outcome& outcome : publishers.get()) EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_TRUE(catalog.verify().damaged.empty());
  EXPECT_TRUE(test::same_content(*catalog.open(*catalog.find("p1")), test::make_disk(6 * MiB, 1)));
}

TEST(Concurrent, ManyThreadsReadOneImage) {
  const test::TempDir folder;
  LocalCatalog catalog(folder.path() / "c");
  const auto disk = test::make_disk(6 * MiB, 1);
  const auto reader = catalog.open(test::publish(catalog, disk, {"a", "1", "", 0, {}}).image);
  std::vector<std::future<bool>> readers;
  for (int i = 0; i < 4; ++i)
    readers.push_back(std::async(std::launch::async, [&] { return test::same_content(*reader, disk); }));
  for (auto& same : readers) EXPECT_TRUE(same.get());
}

}  // namespace
}  // namespace kiln
