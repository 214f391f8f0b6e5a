#include <gmock/gmock.h>

#include <algorithm>

#include "fixture.h"
#include "support/full_disk.h"
#include "support/run.h"

namespace kiln {
namespace {

constexpr std::uint64_t MiB = 1 << 20;

void expect_nothing_left(const LocalCatalog& catalog, std::size_t images) {
  const auto all = catalog.list();  // those that failed keep their error
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count_if(all, &ImageEntry::is_there)), images);
  EXPECT_EQ(test::files_in(catalog.folder() / "packs").size(), images);
  EXPECT_EQ(test::files_in(catalog.folder() / "disks").size(), images);
  EXPECT_TRUE(test::files_in(catalog.folder() / "staging").empty());
}

TEST(FullDisk, APublishThatDoesNotFitIsAClearErrorAndTheNextOneWorks) {
  test::on_small_disk(12 * MiB, [](const std::filesystem::path& disk) {
    LocalCatalog catalog(disk / "c");
    test::publish(catalog, test::make_disk(3 * MiB, 1), {"a", "1", "", 0, {}});
    const Error error = test::error_of([&] {
      test::publish(catalog, test::make_disk(60 * MiB, 2), {"b", "1", "", 0, {}});
    });
    EXPECT_THAT(error.what(), testing::HasSubstr("No space left on device"));
    EXPECT_EQ(error.hint(), "free some space, or write to another disk");
    expect_nothing_left(catalog, 1);
    EXPECT_NO_THROW(test::publish(catalog, test::make_disk(3 * MiB, 3), {"b", "1", "", 0, {}}));
    EXPECT_TRUE(catalog.verify().damaged.empty());
  });
}

/// Leaves from nothing to a little more than the next image needs, so that every step meets the end.
void meet_every_end(LocalCatalog& catalog, const std::filesystem::path& disk) {
  const std::uint64_t needed = catalog.find("a")->stored_bytes;
  int failures = 0;
  for (std::uint64_t room = 0; room < needed + MiB / 2; room += 150 * 1024) {
    const auto filler = disk / "filler";
    const auto space = std::filesystem::space(disk).available;
    if (space > room) test::run({"fallocate", "-l", std::to_string(space - room), filler});
    try {
      test::publish(catalog, test::make_disk(3 * MiB, 2), {"b", "1", "", 0, {}});
    } catch (const Error& error) {
      ++failures;
      EXPECT_FALSE(error.hint().empty()) << error.what();
    }
    std::filesystem::remove(filler);
    if (catalog.find("b")) catalog.remove("b");
    LocalCatalog again(catalog.folder());
    expect_nothing_left(again, 1);
  }
  EXPECT_GE(failures, 5);
}

TEST(FullDisk, WhereverTheSpaceEndsNothingIsLeft) {
  test::on_small_disk(12 * MiB, [](const std::filesystem::path& disk) {
    LocalCatalog catalog(disk / "c");
    test::publish(catalog, test::make_disk(3 * MiB, 1), {"a", "1", "", 0, {}});
    meet_every_end(catalog, disk);
    EXPECT_NO_THROW(test::publish(catalog, test::make_disk(3 * MiB, 2), {"b", "1", "", 0, {}}));
    EXPECT_TRUE(catalog.verify().damaged.empty());
  });
}

TEST(FullDisk, AFileThatMayNotGrowIsAClearError) {
  const test::TempDir folder;
  LocalCatalog catalog(folder / "c");
  const test::Outcome outcome = test::run({KILN_CATALOG_PUBLISHER, catalog.folder(), "b", "1", "2", "20", "5000"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.output, testing::HasSubstr("File too large"));
  expect_nothing_left(catalog, 0);
  EXPECT_NO_THROW(test::publish(catalog, test::make_disk(3 * MiB, 3), {"b", "1", "", 0, {}}));
}

}  // namespace
}  // namespace kiln
