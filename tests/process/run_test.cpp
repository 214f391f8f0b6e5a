#include <gmock/gmock.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include <kiln/file.h>

#include "process/process.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Command sh(const std::string& script) {
  return {"sh", {"-c", script}};
}

/// Every child of this test must have been reaped by the code under test.
void expect_no_zombies() {
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Run, GivesOutputAndStatus) {
  const Outcome out = run(sh("echo hello; echo oops >&2; exit 3"));
  EXPECT_EQ(out.exit.status, 3);
  EXPECT_EQ(out.exit.signal, 0);
  EXPECT_EQ(out.output, "hello\n");
  EXPECT_THAT(out.error_lines, ElementsAre("oops"));
  expect_no_zombies();
}

TEST(Run, PassesArgumentsAsTheyAre) {
  EXPECT_EQ(run({"printf", {"%s|", "a b", "$HOME", "", "'*'"}}).output, "a b|$HOME||'*'|");
}

TEST(Run, FeedsStandardInputOfAnySize) {
  const std::string input(3 << 20, 'x');
  EXPECT_EQ(run({"cat", {}, input}).output, input);
  EXPECT_EQ(run({"cat", {}}).output, "");
}

TEST(Run, HandsLinesOver) {
  std::vector<std::string> lines;
  RunOptions options;
  options.on_line = [&](std::string_view line) { lines.emplace_back(line); };
  const Outcome out = run(sh("printf 'a\\r\\n\\nlast'"), options);
  EXPECT_THAT(lines, ElementsAre("a", "", "last"));
  EXPECT_EQ(out.output, "");
}

TEST(Run, WritesOutputToAFile) {
  test::TempDir dir;
  RunOptions options;
  options.output_file = dir / "out";
  run(sh("echo there"), options);
  EXPECT_EQ(read_text(dir / "out"), "there\n");
}

TEST(Run, KeepsTheLastFortyLinesOfHugeErrorsAndLogsAll) {
  test::TempDir dir;
  RunOptions options;
  options.error_log = dir / "log";
  const Outcome out = run(sh("seq 1 200000 >&2"), options);
  ASSERT_EQ(out.error_lines.size(), 40u);
  EXPECT_EQ(out.error_lines.front(), "199961");
  EXPECT_EQ(out.error_lines.back(), "200000");
  EXPECT_EQ(std::filesystem::file_size(dir / "log"), 1288895u);
}

TEST(Run, CutsAnEndlessErrorLine) {
  const Outcome out = run(sh("head -c 5000000 /dev/zero | tr '\\0' y >&2"));
  ASSERT_EQ(out.error_lines.size(), 1u);
  EXPECT_EQ(out.error_lines[0].size(), 4096u);
}

TEST(Run, RefusesMoreOutputThanItsLimit) {
  RunOptions options;
  options.output_limit = 100'000;
  try {
    run({"cat", {"/dev/zero"}}, options);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "cat wrote more than 97.7 KiB");
  }
  expect_no_zombies();
}

TEST(Run, StopsAGroupThatOverrunsItsTime) {
  RunOptions options;
  options.timeout = 200ms;
  const auto start = Clock::now();
  try {
    run(sh("echo working >&2; sleep 60 & sleep 61"), options);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "sh did not finish within 0.2 s");
    EXPECT_THAT(e.evidence(), ElementsAre("working"));
  }
  EXPECT_LT(Clock::now() - start, 3s);
  expect_no_zombies();
}

TEST(Run, StopIsTermFirstThenKill) {
  test::TempDir dir;
  std::stop_source stop;
  RunOptions options;
  options.stop = stop.get_token();
  options.grace = 300ms;
  const std::string mark = (dir / "term").string();
  std::jthread later([&] {
    while (!std::filesystem::exists(dir / "ready")) std::this_thread::sleep_for(5ms);
    stop.request_stop();
  });
  const auto start = Clock::now();
  try {
    run(sh("trap 'touch " + mark + "' TERM; touch " + (dir / "ready").string() + "; while :; do sleep 0.05; done"),
        options);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::cancelled);
  }
  EXPECT_GE(Clock::now() - start, 300ms);
  EXPECT_TRUE(std::filesystem::exists(mark)) << "TERM did not come first";
  expect_no_zombies();
}

TEST(Run, DoesNotStartWhenStopWasAsked) {
  std::stop_source stop;
  stop.request_stop();
  RunOptions options;
  options.stop = stop.get_token();
  EXPECT_THROW(run(sh("true"), options), Error);
}

TEST(Run, KillsWhatAProgramLeavesBehind) {
  const auto start = Clock::now();
  const Outcome out = run(sh("sleep 60 & echo $!"));
  EXPECT_LT(Clock::now() - start, 5s);
  const pid_t left = std::stoi(out.output);
  for (int i = 0; i < 100 && identify(left); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(identify(left));
}

TEST(Run, MissingProgramNamesThePackage) {
  ::setenv("PATH", "/nowhere", 1);
  try {
    run({"qemu-img", {}});
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "qemu-img is not installed");
    EXPECT_EQ(e.hint(), "sudo apt-get install qemu-utils");
  }
  ::setenv("PATH", "/usr/bin:/bin", 1);
  try {
    run({"kiln-no-such-program", {}});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "kiln-no-such-program is not installed");
  }
}

TEST(Run, AFileThatIsNoProgramIsAnErrorAndNoSecondProcess) {
  test::TempDir dir;
  write_text(dir / "bad",
             "\x7f"
             "ELFnonsense");
  std::filesystem::permissions(dir / "bad", std::filesystem::perms::owner_all);
  try {
    run({(dir / "bad").string(), {}});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("Exec format error"));
  }
  expect_no_zombies();
}

TEST(RunChecked, SaysHowItFailed) {
  try {
    run_checked(sh("echo 'no space' >&2; exit 1"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "sh exited with status 1");
    EXPECT_THAT(e.evidence(), ElementsAre("no space"));
  }
  try {
    run_checked(sh("kill -9 $$"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "sh was killed by signal 9 (Killed)");
  }
}

TEST(Run, ACallbackThatThrowsLeavesNoProcess) {
  RunOptions options;
  options.on_line = [](std::string_view) { throw Error("enough"); };
  EXPECT_THROW(run(sh("echo x; sleep 60"), options), Error);
  expect_no_zombies();
}

}  // namespace
}  // namespace kiln
