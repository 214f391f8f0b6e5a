#include <kiln/file.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "support/temp.h"

namespace kiln {
namespace {

TEST(File, ReadingPastTheEndNamesTheFileTruncated) {
  test::TempDir dir;
  write_text(dir / "a", "12345");
  const File file = File::open_read(dir / "a");
  std::array<std::byte, 8> into{};
  try {
    file.read_at(2, into);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), (dir / "a").string() + " is truncated");
    ASSERT_EQ(e.evidence().size(), 1u);
    EXPECT_EQ(e.evidence()[0], "bytes 2..10 are needed, the file ends at 5");
  }
}

TEST(File, RefusesAFifoWithoutWaiting) {
  test::TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(File::open_read(dir / "fifo"), Error);
  EXPECT_THROW(File::open_read(dir.path()), Error);
}

TEST(File, SeekFindsHoles) {
  test::TempDir dir;
  File file = File::create(dir / "sparse");
  file.truncate(1 << 20);
  const std::array<std::byte, 1> one{std::byte{1}};
  file.write_at(512 << 10, one);
  EXPECT_EQ(file.seek(0, true), 512u << 10);
  EXPECT_EQ(file.seek((512 << 10) + 4096, true), 1u << 20);
}

TEST(PendingFile, LeavesNothingUnlessCommitted) {
  test::TempDir dir;
  {
    PendingFile pending(dir / "x");
    std::ofstream(pending.path()) << "half";
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  {
    PendingFile pending(dir / "x");
    std::ofstream(pending.path()) << "whole";
    pending.commit(true);
  }
  EXPECT_EQ(read_text(dir / "x"), "whole");
}

TEST(PendingFile, WritesToWhatALinkNames) {
  test::TempDir dir;
  std::filesystem::create_directory(dir / "b");
  const auto write = [&](const std::string& name, const std::string& text) {
    PendingFile pending(dir / name);
    std::ofstream(pending.path()) << text;
    pending.commit(false);
  };
  std::filesystem::create_symlink("b/relative", dir / "one");
  std::filesystem::create_symlink(dir / "b/absolute", dir / "two");
  write("one", "1");  // what it names is not there yet
  write("two", "2");
  write("two", "3");
  EXPECT_EQ(read_text(dir / "b/relative"), "1");
  EXPECT_EQ(read_text(dir / "b/absolute"), "3");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "one"));
  std::filesystem::create_symlink("loop", dir / "loop");
  EXPECT_THROW(PendingFile(dir / "loop"), Error);
}

TEST(PendingFile, ReplacesNoFolderAndNoDevice) {
  test::TempDir dir;
  EXPECT_THROW(PendingFile(dir.path()), Error);
  EXPECT_THROW(PendingFile("/dev/null"), Error);
}

TEST(PendingFile, RemovesWhatAKilledProcessLeft) {
  test::TempDir dir;
  const auto plant = [&](const std::string& name, std::chrono::minutes age) {
    std::ofstream(dir / name) << "half";
    std::filesystem::last_write_time(dir / name, std::filesystem::file_time_type::clock::now() - age);
  };
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  plant(".x.kiln-" + std::to_string(dead) + "-1", std::chrono::minutes(11));
  plant(".x.kiln-" + std::to_string(dead) + "-2", std::chrono::minutes(1));  // perhaps of another container
  plant(".x.kiln-" + std::to_string(::getpid()) + "-3", std::chrono::minutes(11));
  plant(".y.kiln-" + std::to_string(dead) + "-4", std::chrono::minutes(11));
  plant(".x.kiln-backup", std::chrono::minutes(11));  // somebody else's
  plant(".x.kiln-" + std::to_string(dead) + "-5.old", std::chrono::minutes(11));
  PendingFile(dir / "x").remove_abandoned();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 5);
  EXPECT_FALSE(std::filesystem::exists(dir / (".x.kiln-" + std::to_string(dead) + "-1")));
}

}  // namespace
}  // namespace kiln
