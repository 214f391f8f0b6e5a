#include "process/sandbox.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <sstream>
#include <thread>

#include <kiln/file.h>

#include "process/process.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// A server on the loopback of the host.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(fd_, 4), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port = ntohs(at.sin_port);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { ::close(fd_); }
  int port = 0;

 private:
  int fd_;
};

/// What the probe said: a name, and what it could do or saw.
std::map<std::string, std::string> words_of(const std::string& output) {
  std::map<std::string, std::string> all;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);)
    all[line.substr(0, line.find(' '))] = line.substr(line.find(' ') + 1);
  return all;
}

class InSandbox : public testing::Test {
 protected:
  InSandbox() {
    write_text(input_, "what it may read");
    write_text(dir_ / "canary", "a secret of the host");
    fs::create_directory(out_);
  }

  /// `command` in a sandbox with one input and one output.
  Outcome run_boxed(const Command& command, Limits limits = {}) {
    const File input = File::open_read(input_);
    const Boxed boxed = in_sandbox(command, {.inputs = {input.fd()}, .outputs = {out_}, .limits = limits});
    return run(boxed.command, {.timeout = 60s, .passed = boxed.passed});
  }

  test::TempDir dir_;
  fs::path input_ = dir_ / "json:{\"a name\", --help", out_ = dir_ / "out";
};

TEST_F(InSandbox, AStrangerCanDoNothingButReadItsInputAndWriteItsOutput) {
  const Listener listener;
  ASSERT_EQ(::setenv("KILN_PROBE_SECRET", "secret", 1), 0);
  const Outcome outcome =
      run_boxed({KILN_PROBE, {std::to_string(listener.port), (dir_ / "canary").string(), std::to_string(::getpid())}});
  ::unsetenv("KILN_PROBE_SECRET");
  ASSERT_TRUE(outcome.exit.ok()) << describe(outcome.exit) << testing::PrintToString(outcome.error_lines);
  auto said = words_of(outcome.output);
  EXPECT_EQ(said["input"], "what it may read");
  EXPECT_EQ(said["uid"], "65534");
  EXPECT_EQ(said["write-output"], "yes");
  EXPECT_EQ(said["thread"], "yes");
  EXPECT_TRUE(fs::exists(out_ / "made"));
  for (const char* allowed : {"input", "uid", "write-output", "thread"}) said.erase(allowed);
  EXPECT_EQ(said.size(), 27u);
  for (const auto& [what, could] : said) EXPECT_EQ(could, "no") << what;
  EXPECT_EQ(read_text(input_), "what it may read");
  EXPECT_EQ(read_text(dir_ / "canary"), "a secret of the host");
}

/// The probe is no stranger that fails by itself: without the sandbox it can do these.
TEST_F(InSandbox, ThatIsTheSandboxesDoing) {
  const Listener listener;
  const Outcome outcome =
      run({KILN_PROBE, {std::to_string(listener.port), (dir_ / "canary").string(), "0", "harmless"}});
  auto said = words_of(outcome.output);
  for (const char* what : {"host-file", "processes", "connect", "netlink", "fork", "execute-with-vfork", "allocate"})
    EXPECT_EQ(said[what], "yes") << what;
}

TEST_F(InSandbox, TheAnswerAndTheErrorsComeBack) {
  const Outcome outcome = run_boxed({"sh", {"-c", "read line; echo \"$line\"; echo wrong >&2; exit 7"}, "its input\n"});
  EXPECT_EQ(outcome.output, "its input\n");
  EXPECT_THAT(outcome.error_lines, testing::ElementsAre("wrong"));
  EXPECT_EQ(outcome.exit.status, 7);
}

TEST_F(InSandbox, MemoryFilesAndTimeAreBounded) {
  EXPECT_NE(run_boxed({"dd", {"if=/dev/zero", "of=/out/0/x", "bs=4k", "count=100"}}, {.file_size = 8192}).exit.status,
            0);
  EXPECT_LE(fs::file_size(out_ / "x"), 8192u);
  EXPECT_NE(
      run_boxed({"dd", {"if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"}}, {.memory = 200u << 20}).exit.status, 0);
  EXPECT_NE(run_boxed({"dd", {"if=/dev/zero", "of=/tmp/x", "bs=1M", "count=10"}}, {.scratch = 1u << 20}).exit.status,
            0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(run_boxed({"sh", {"-c", "while :; do :; done"}}, {.cpu_seconds = 1}).exit.ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 50s);
}

TEST_F(InSandbox, RootReadsWhatOnlyAnotherMayRead) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make such a file";
  fs::permissions(dir_.path(), fs::perms(0711));
  fs::permissions(input_, fs::perms(0600));
  ASSERT_EQ(::chown(input_.c_str(), 12345, 12345), 0);
  const Outcome outcome = run_boxed({"sh", {"-c", "read line </in/0; echo \"$line\"; echo x >/out/0/made"}});
  EXPECT_EQ(outcome.output, "what it may read\n") << testing::PrintToString(outcome.error_lines);
  struct stat made {};
  ASSERT_EQ(::stat((out_ / "made").c_str(), &made), 0);
  EXPECT_EQ(made.st_uid, 12345u);
}

TEST_F(InSandbox, ItDiesWithWhoStartedIt) {
  const File input = File::open_read(input_);
  const Boxed boxed = in_sandbox({"sh", {"-c", "echo up; exec sleep 987"}}, {.inputs = {input.fd()}});
  {
    const Child child = Child::start(boxed.command, dir_ / "log", {}, boxed.passed);
    for (int i = 0; i < 1000 && read_text(dir_ / "log").empty(); ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(read_text(dir_ / "log"), "up\n");
    EXPECT_EQ(run({"pgrep", {"-fx", "sleep 987"}}).exit.status, 0);
  }
  bool gone = false;
  for (int i = 0; i < 500 && !gone; ++i, std::this_thread::sleep_for(10ms))
    gone = run({"pgrep", {"-fx", "sleep 987"}}).exit.status == 1;
  EXPECT_TRUE(gone);
}

class WithPath : public testing::Test {
 protected:
  ~WithPath() override { ::setenv("PATH", before_.c_str(), 1); }
  std::string before_ = std::getenv("PATH");
};

TEST_F(WithPath, AHostWithoutBubblewrapIsToldWhatToDo) {
  test::TempDir dir;
  ::setenv("PATH", dir.path().c_str(), 1);
  try {
    // The folders of sbin are looked through besides; bwrap is in none of them.
    require_sandbox();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::refused);
    EXPECT_STREQ(e.what(), "there is no sandbox: bubblewrap is not installed");
    EXPECT_THAT(e.hint(), testing::HasSubstr("sudo apt-get install bubblewrap"));
    EXPECT_THAT(e.hint(), testing::HasSubstr("--no-sandbox"));
  }
}

TEST_F(WithPath, AHostThatForbidsNamespacesIsToldWhatToDo) {
  test::TempDir dir;
  write_text(dir / "bwrap", "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n");
  fs::permissions(dir / "bwrap", fs::perms(0755));
  ::setenv("PATH", (dir.path().string() + ":" + before_).c_str(), 1);
  try {
    require_sandbox();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::refused);
    EXPECT_STREQ(e.what(), "there is no sandbox: this host does not allow it");
    EXPECT_THAT(e.hint(), testing::HasSubstr("--no-sandbox"));
    EXPECT_THAT(e.evidence(), testing::ElementsAre("bwrap: No permissions to create new namespace"));
  }
}

TEST_F(InSandbox, WithoutTheSandboxTheLimitsStay) {
  const File input = File::open_read(input_);
  const Sandbox box{.inputs = {input.fd()}, .outputs = {out_}, .limits = {.file_size = 4096}, .off = true};
  const Boxed boxed =
      in_sandbox({"sh", {"-c", "cat " + box.input(0) + "; ulimit -f; echo x >" + box.output(0) + "/made"}}, box);
  EXPECT_EQ(run(boxed.command, {.passed = boxed.passed}).output, "what it may read8\n");
  EXPECT_TRUE(fs::exists(out_ / "made"));
}

}  // namespace
}  // namespace kiln
