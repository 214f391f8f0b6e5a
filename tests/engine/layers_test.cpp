#include "engine/layers.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <kiln/file.h>

#include "support/full_disk.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

fs::perms mode_of(const fs::path& path) {
  return fs::status(path).permissions() & fs::perms::all;
}

TEST(RemoveTree, StopsAtWhatIsMounted) {
  test::on_small_disk(4u << 20, [](const fs::path& disk) {
    fs::create_directories(disk / "tree/sys");
    fs::create_directories(disk / "tree/bound");
    fs::create_directories(disk / "tree/closed/deep");
    fs::create_directory(disk / "hosts");
    write_text(disk / "hosts/file", "keep");
    write_text(disk / "tree/closed/deep/file", "x");
    fs::permissions(disk / "tree/closed", fs::perms::none);
    ASSERT_EQ(::mount("tmpfs", (disk / "tree/sys").c_str(), "tmpfs", 0, "mode=0555"), 0);
    ASSERT_EQ(::mount((disk / "hosts").c_str(), (disk / "tree/bound").c_str(), nullptr, MS_BIND, nullptr), 0);
    remove_tree(disk / "tree");
    EXPECT_EQ(mode_of(disk / "tree/sys"), fs::perms(0555));
    EXPECT_EQ(read_text(disk / "hosts/file"), "keep");
    EXPECT_EQ(test::names_in(disk / "tree"), "bound sys");
    EXPECT_EQ(::umount((disk / "tree/sys").c_str()), 0);
    EXPECT_EQ(::umount((disk / "tree/bound").c_str()), 0);
    remove_tree(disk / "tree");
    EXPECT_FALSE(fs::exists(disk / "tree"));
  });
}

}  // namespace
}  // namespace kiln::engine
