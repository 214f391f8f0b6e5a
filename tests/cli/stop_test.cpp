// Stopped in the middle, killed in the middle, two at once: nothing half-made, and the next run goes on.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <thread>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char pipeline[] =
    "[[stage]]\nuse = \"import\"\nfile = \"disk.raw\"\n\n[[stage]]\nuse = \"publish\"\nimage = \"web\"\n\n"
    "[[stage]]\nuse = \"write\"\nformat = \"qcow2\"\nfile = \"out.qcow2\"\noptions = { compression = \"zlib\" }\n";

class Stopped : public testing::Test {
 protected:
  Stopped() {
    kiln.raw_disk("disk.raw", 192);
    kiln.write("web.toml", pipeline);
  }
  /// A build that is certainly in its pass: the output beside its target is there.
  Program::Running start_and_wait_for_the_pass() {
    const auto running = kiln.start({"build", "web.toml"});
    for (int i = 0; i < 2000; ++i) {
      for (const auto& name : files_below(kiln.folder(), {"home", "disk", "web"}))
        if (name.find("out.qcow2") != std::string::npos) return running;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "the build never wrote";
    return running;
  }
  std::size_t images(const char* state = "available") {
    return json::parse(kiln({"image", "list", "--state", state, "--json"}).out)["images"].size();
  }
  std::vector<std::string> outputs() { return files_below(kiln.folder(), {"home", "disk", "web", ".out", ".err"}); }
  Program kiln;
};

TEST_F(Stopped, BySigintLeavesNothingHalfMade) {
  const auto running = start_and_wait_for_the_pass();
  ::kill(running.pid, SIGINT);
  const Answer answer = kiln.wait(running);
  EXPECT_EQ(answer.status, 130) << answer.err;
  EXPECT_THAT(answer.err, HasSubstr("stopping: "));
  EXPECT_THAT(outputs(), IsEmpty());
  EXPECT_EQ(images(), 0U);
  EXPECT_EQ(images("failed"), 0U);
  for (const auto& name : files_below(kiln.home() / "layers")) EXPECT_EQ(name, ".lock");

  EXPECT_EQ(kiln({"build", "web.toml"}).status, 0);
  EXPECT_EQ(images(), 1U);
}

TEST_F(Stopped, BySigtermEndsTheSameWay) {
  const auto running = start_and_wait_for_the_pass();
  ::kill(running.pid, SIGTERM);
  EXPECT_EQ(kiln.wait(running).status, 130);
  EXPECT_THAT(outputs(), IsEmpty());
}

TEST_F(Stopped, ByKillGoesOnTheNextTime) {
  const auto running = start_and_wait_for_the_pass();
  ::kill(running.pid, SIGKILL);
  EXPECT_EQ(kiln.wait(running).status, 128 + SIGKILL);
  EXPECT_EQ(images(), 0U);
  EXPECT_EQ(images("failed"), 1U) << "what was being made is told of";
  const Answer again = kiln({"build", "web.toml"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(images(), 1U);
  EXPECT_EQ(json::parse(kiln({"image", "verify", "web", "--json"}).out)["ok"], true);
}

TEST_F(Stopped, TwoAtOnceBothPublish) {
  kiln.write("one.toml",
             "[[stage]]\nuse = \"import\"\nfile = \"disk.raw\"\n\n[[stage]]\nuse = \"publish\"\nimage = \"one\"\n");
  kiln.write("two.toml",
             "[[stage]]\nuse = \"import\"\nfile = \"disk.raw\"\n\n[[stage]]\nuse = \"publish\"\nimage = \"two\"\n");
  const auto one = kiln.start({"build", "one.toml"}), two = kiln.start({"build", "two.toml"});
  const Answer first = kiln.wait(one), second = kiln.wait(two);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(images(), 2U);
  for (const char* name : {"one", "two"})
    EXPECT_EQ(json::parse(kiln({"image", "verify", name, "--json"}).out)["ok"], true) << name;
}

}  // namespace
}  // namespace kiln::test
