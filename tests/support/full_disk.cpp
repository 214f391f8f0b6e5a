#include "support/full_disk.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <set>

#include "support/temp.h"

namespace kiln::test {
namespace {

constexpr int no_mount = 77;

bool mount_small(const std::filesystem::path& folder, std::uint64_t bytes) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  const std::string options = "size=" + std::to_string(bytes);
  return ::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

int run_there(const std::filesystem::path& folder, std::uint64_t bytes,
              const std::function<void(const std::filesystem::path&)>& body) {
  if (!mount_small(folder, bytes)) return no_mount;
  try {
    body(folder);
  } catch (const std::exception& e) {
    ADD_FAILURE() << "threw: " << e.what();
  }
  return testing::Test::HasFailure() ? 1 : 0;
}

}  // namespace

void on_small_disk(std::uint64_t bytes, const std::function<void(const std::filesystem::path&)>& body) {
  const TempDir folder;
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int status = run_there(folder.path(), bytes, body);
    std::fflush(nullptr);
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == no_mount) {
    if (std::getenv("CI") != nullptr) FAIL() << "no mount allowed here, and in CI no test may be skipped";
    GTEST_SKIP() << "no mount allowed here";
  }
  EXPECT_EQ(status, 0) << "the child that works on the small disk failed; its failures are above";
}

std::string names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
  std::string line;
  for (const std::string& name : names) line += (line.empty() ? "" : " ") + name;
  return line;
}

}  // namespace kiln::test
