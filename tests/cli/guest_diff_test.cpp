#include "cli/guest_diff.h"

#include <gmock/gmock.h>

namespace kiln::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t regular = 0100644, folder = 0040755, link = 0120777;

ViewedFile file(const std::string& path, std::uint32_t mode = regular, std::uint64_t size = 10) {
  return {.path = path, .mode = mode, .size = size, .inode = 7, .modified = 1, .changed = 1, .target = ""};
}

std::vector<std::string> paths(const std::vector<FileChange>& changes) {
  std::vector<std::string> all;
  for (const FileChange& change : changes) all.push_back(change.path());
  return all;
}

TEST(GuestDiff, FilesAreAddedRemovedAndChanged) {
  GuestView a, b;
  a.files = {file("/a"), file("/gone"), file("/same")};
  b.files = {file("/a", 0100600), file("/new"), file("/same")};
  const GuestDiff diff = compare(a, b, false);
  EXPECT_THAT(paths(diff.removed), ElementsAre("/gone"));
  EXPECT_THAT(paths(diff.added), ElementsAre("/new"));
  ASSERT_THAT(paths(diff.changed), ElementsAre("/a"));
  EXPECT_THAT(diff.changed[0].what, ElementsAre("mode"));
  EXPECT_FALSE(diff.changed[0].unsure);
}

TEST(GuestDiff, EachPropertyIsNamed) {
  GuestView a, b;
  a.files = {file("/kind"), file("/link", link), file("/owner"), file("/size")};
  b.files = a.files;
  b.files[0].mode = folder;
  b.files[1].target = "elsewhere";
  b.files[2].gid = 5;
  b.files[3].size = 11;
  const GuestDiff diff = compare(a, b, false);
  ASSERT_EQ(diff.changed.size(), 4U);
  EXPECT_THAT(diff.changed[0].what, ElementsAre("kind"));
  EXPECT_THAT(diff.changed[1].what, ElementsAre("target"));
  EXPECT_THAT(diff.changed[2].what, ElementsAre("owner"));
  EXPECT_THAT(diff.changed[3].what, ElementsAre("size"));
  EXPECT_TRUE(diff.changed[3].unsure);
}

TEST(GuestDiff, OnlyWhatMayHaveBeenTouchedIsRead) {
  GuestView a, b;
  a.files = {file("/empty", regular, 0), file("/folder", folder), file("/same"), file("/touched")};
  b.files = a.files;
  b.files[0].changed = b.files[1].changed = b.files[3].changed = 2;
  EXPECT_THAT(paths(compare(a, b, false).changed), ElementsAre("/touched"));
  EXPECT_THAT(paths(compare(a, b, true).changed), ElementsAre("/same", "/touched"));
}

TEST(GuestDiff, PackagesByNameAndWhereNeededByArchitecture) {
  GuestView a, b;
  a.packages = {{"libc6", "amd64", "2.36"}, {"libc6", "i386", "2.36"}, {"old", "all", "1"}, {"ssl", "amd64", "3.0"}};
  b.packages = {{"libc6", "amd64", "2.36"}, {"libc6", "i386", "2.37"}, {"new", "all", "1"}, {"ssl", "amd64", "3.1"}};
  std::vector<std::string> told;
  for (const NamedChange& c : compare(a, b, false).packages) told.push_back(c.name + "|" + c.before + "|" + c.after);
  EXPECT_THAT(told, ElementsAre("libc6:i386|2.36|2.37", "new||1", "old|1|", "ssl|3.0|3.1"));
}

TEST(GuestDiff, SeveralVersionsOfOnePackageAreOneLine) {
  GuestView a, b;
  a.packages = {{"kernel", "x86_64", "5.1"}};
  b.packages = {{"kernel", "x86_64", "5.1"}, {"kernel", "x86_64", "5.2"}};
  const auto changes = compare(a, b, false).packages;
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].after, "5.1, 5.2");
}

TEST(GuestDiff, KernelsAreFoundByTheirModules) {
  GuestView a, b;
  a.files = {file("/lib/modules/6.1.0-1", folder), file("/lib/modules/6.1.0-1/kernel", folder)};
  b.files = {file("/usr/lib/modules/6.1.0-2", folder)};
  const auto changes = compare(a, b, false).kernels;
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].name, "6.1.0-1");
  EXPECT_EQ(changes[0].after, "");
  EXPECT_EQ(changes[1].name, "6.1.0-2");
  EXPECT_EQ(changes[1].before, "");
}

TEST(GuestDiff, PartitionsWithAllThatIsKnownOfThem) {
  GuestView a, b;
  a.table = b.table = "gpt";
  a.partitions = {{1, 1 << 20, (2 << 20) - 1, "TYPE", "ext4", "root", "u-1"}};
  b.partitions = {{1, 1 << 20, (3 << 20) - 1, "TYPE", "ext4", "", "u-1"}};
  const auto changes = compare(a, b, false).partitions;
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].before, "1.0 MiB at 1.0 MiB, type TYPE, ext4, label root, u-1");
  EXPECT_EQ(changes[0].after, "2.0 MiB at 1.0 MiB, type TYPE, ext4, u-1");
  EXPECT_THAT(compare(a, a, true).partitions, IsEmpty());
}

TEST(GuestDiff, ModesAsLsShowsThem) {
  EXPECT_EQ(mode_text(0100644), "-rw-r--r--");
  EXPECT_EQ(mode_text(0041777), "drwxrwxrwt");
  EXPECT_EQ(mode_text(0104755), "-rwsr-xr-x");
  EXPECT_EQ(mode_text(0102640), "-rw-r-S---");
  EXPECT_EQ(mode_text(0120777), "lrwxrwxrwx");
}

}  // namespace
}  // namespace kiln::cli
