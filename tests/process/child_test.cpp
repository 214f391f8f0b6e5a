#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include <kiln/file.h>

#include "process/process.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

TEST(Child, RunsBesideUsAndEnds) {
  test::TempDir dir;
  Child child = Child::start({"sh", {"-c", "echo out; echo err >&2; sleep 0.1; exit 7"}}, dir / "log");
  EXPECT_TRUE(child.alive());
  EXPECT_FALSE(child.wait(1ms));
  const auto exit = child.wait(10s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status, 7);
  EXPECT_FALSE(child.alive());
  EXPECT_EQ(read_text(dir / "log"), "out\nerr\n");
}

TEST(Child, TerminateTakesTheWholeGroup) {
  test::TempDir dir;
  Child child = Child::start({"sh", {"-c", "sleep 60 & echo $!; wait"}}, dir / "log");
  while (!read_text(dir / "log").ends_with('\n')) std::this_thread::sleep_for(5ms);
  const pid_t inner = std::stoi(read_text(dir / "log"));
  EXPECT_EQ(child.terminate(2s).signal, SIGTERM);
  for (int i = 0; i < 100 && identify(inner); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(identify(inner));
}

TEST(Child, TerminateKillsWhatIgnoresTerm) {
  test::TempDir dir;
  Child child = Child::start({"sh", {"-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"}}, dir / "log");
  while (read_text(dir / "log").empty()) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(child.terminate(100ms).signal, SIGKILL);
}

TEST(Child, GoingOutOfScopeLeavesNothing) {
  pid_t pid = 0;
  {
    const Child child = Child::start({"sleep", {"60"}});
    pid = child.pid();
    EXPECT_TRUE(identify(pid));
  }
  EXPECT_FALSE(identify(pid));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(Child, DiesWithItsParent) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const Child child = Child::start({"sleep", {"60"}});
    const pid_t pid = child.pid();
    if (::write(ends[1], &pid, sizeof pid) < 0) ::_exit(1);
    ::raise(SIGKILL);
  }
  pid_t pid = 0;
  ASSERT_EQ(::read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ::waitpid(parent, nullptr, 0);
  for (int i = 0; i < 200 && identify(pid); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(identify(pid));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Daemon, IsNoChildOfOursAndHasItsOwnSession) {
  test::TempDir dir;
  const pid_t pid = start_daemon({"sh", {"-c", "echo up; exec sleep 60"}}, dir / "log");
  const auto id = identify(pid);
  ASSERT_TRUE(id);
  EXPECT_NE(::getsid(pid), ::getsid(0));
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_TRUE(signal_process(*id, SIGKILL));
  EXPECT_TRUE(wait_gone(*id, 5s));
  EXPECT_FALSE(identify(pid));
  EXPECT_FALSE(signal_process(*id, SIGKILL));
}

TEST(Daemon, MissingProgramIsAnError) {
  EXPECT_THROW(start_daemon({"kiln-no-such-program", {}}, {}), Error);
}

TEST(ProcessId, AnotherStartTimeIsAnotherProcess) {
  const Child child = Child::start({"sleep", {"60"}});
  auto id = identify(child.pid());
  ASSERT_TRUE(id);
  id->started += 1;
  EXPECT_FALSE(signal_process(*id, SIGKILL));
  EXPECT_TRUE(wait_gone(*id, 0ms));
  EXPECT_TRUE(identify(child.pid()));
}

}  // namespace
}  // namespace kiln
