// The freezer against agents as a test wants them. Real guests: capture_test.cpp.
#include "machine/freeze.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "support/line_server.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// A guest agent: frozen or not, and what it was told. `change` may answer in its place.
class Agent {
 public:
  using Change = std::function<std::optional<std::string>(const std::string& command)>;
  explicit Agent(const std::filesystem::path& socket, Change change = {})
      : change_(std::move(change)), server_(socket, "", [this](const std::string& line) { return answer(line); }) {}

  bool frozen() const { return frozen_; }
  void set_frozen(bool frozen) { frozen_ = frozen; }
  std::vector<std::string> told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  std::string answer(const std::string& line) {
    const json message = json::parse(line.substr(line.find('{')));
    const std::string command = message.at("execute");
    if (command == "guest-sync-delimited")
      return "\xff{\"return\": " + std::to_string(message["arguments"]["id"].get<std::uint64_t>()) + "}\n";
    {
      const std::lock_guard lock(mutex_);
      if (command != "guest-ping") told_.push_back(command);
    }
    if (change_)
      if (const auto instead = change_(command)) return *instead;
    if (command == "guest-fsfreeze-freeze") return frozen_ = true, "{\"return\": 2}\n";
    if (command == "guest-fsfreeze-thaw") return frozen_ = false, "{\"return\": 2}\n";
    if (command == "guest-fsfreeze-status")
      return std::string("{\"return\": \"") + (frozen_ ? "frozen" : "thawed") + "\"}\n";
    return "{\"return\": {}}\n";
  }

  Change change_;
  std::atomic<bool> frozen_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> told_;
  test::LineServer server_;  // last: its thread uses the others
};

bool soon(const std::function<bool()>& is_so, Duration limit = 5s) {
  for (const auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until;
       std::this_thread::sleep_for(10ms))
    if (is_so()) return true;
  return is_so();
}

TEST(Freeze, FreezesAndThawsOnceAsked) {
  test::TempDir dir;
  Agent agent(dir / "a.sock");
  Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 10s);
  ASSERT_EQ(freeze.answer(), Freeze::Answer::frozen);
  EXPECT_EQ(freeze.file_systems(), 2u);
  EXPECT_TRUE(agent.frozen());
  std::this_thread::sleep_for(100ms);
  EXPECT_TRUE(agent.frozen());
  const Freeze::Report report = freeze.thaw();
  EXPECT_FALSE(agent.frozen());
  EXPECT_TRUE(report.held);
  EXPECT_TRUE(report.thawed);
  EXPECT_EQ(report.words, "");
  EXPECT_GE(report.frozen, 100ms);
  EXPECT_LT(report.frozen, 3s);
  EXPECT_THAT(agent.told(), ElementsAre("guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-thaw",
                                        "guest-fsfreeze-status"));
}

TEST(Freeze, ThawsWhenItIsForgotten) {
  test::TempDir dir;
  Agent agent(dir / "a.sock");
  {
    const Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 60s);
    ASSERT_EQ(freeze.answer(), Freeze::Answer::frozen);
  }
  EXPECT_TRUE(soon([&] { return !agent.frozen(); }));
}

TEST(Freeze, ThawsAtItsLimit) {
  test::TempDir dir;
  Agent agent(dir / "a.sock");
  Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 1s);
  ASSERT_EQ(freeze.answer(), Freeze::Answer::frozen);
  EXPECT_TRUE(soon([&] { return !agent.frozen(); }));
  const Freeze::Report report = freeze.thaw();
  EXPECT_FALSE(report.held);
  EXPECT_TRUE(report.thawed);
}

TEST(Freeze, ThatSomebodyElseHasThawedWasNotHeld) {
  test::TempDir dir;
  Agent agent(dir / "a.sock", [&agent](const std::string& command) -> std::optional<std::string> {
    if (command != "guest-fsfreeze-thaw") return std::nullopt;
    agent.set_frozen(false);
    return "{\"return\": 1}\n";
  });
  Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 60s);
  ASSERT_EQ(freeze.answer(), Freeze::Answer::frozen);
  EXPECT_EQ(freeze.file_systems(), 2u);
  const Freeze::Report report = freeze.thaw();
  EXPECT_TRUE(report.thawed);
  EXPECT_FALSE(report.held);
}

TEST(Freeze, ThawsWhenItsProcessGroupIsKilled) {
  test::TempDir dir;
  const std::filesystem::path socket = dir / "a.sock";
  // The child is forked before the agent's thread is there.
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    const Freeze freeze = Freeze::begin(socket, 5s, 60s);
    for (;;) ::pause();
  }
  Agent agent(socket);
  ASSERT_TRUE(soon([&] { return agent.frozen(); }));
  ::kill(-child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(soon([&] { return !agent.frozen(); }));
}

TEST(Freeze, ThawsThoughItsProcessStandsStill) {
  test::TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 500ms);
    for (;;) ::pause();
  }
  Agent agent(dir / "a.sock");
  ASSERT_TRUE(soon([&] { return agent.frozen(); }));
  ::kill(child, SIGSTOP);
  EXPECT_TRUE(soon([&] { return !agent.frozen(); }));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST(Freeze, NobodyAnswers) {
  test::TempDir dir;
  const test::LineServer silent(dir / "a.sock", "", [](const std::string&) { return std::string(); });
  EXPECT_EQ(Freeze::begin(dir / "a.sock", 300ms, 10s).answer(), Freeze::Answer::no_agent);
  EXPECT_EQ(Freeze::begin(dir / "none.sock", 300ms, 10s).answer(), Freeze::Answer::no_agent);
}

TEST(Freeze, AHookThatFailsIsToldAndTheGuestIsThawed) {
  test::TempDir dir;
  Agent* there = nullptr;
  Agent agent(dir / "a.sock", [&](const std::string& command) -> std::optional<std::string> {
    if (command != "guest-fsfreeze-freeze") return std::nullopt;
    there->set_frozen(true);  // in part
    return "{\"error\": {\"class\": \"GenericError\", \"desc\": \"fsfreeze hook has failed\\u001b[2J with status "
           "1\"}}\n";
  });
  there = &agent;
  const Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 10s);
  EXPECT_EQ(freeze.answer(), Freeze::Answer::refused);
  EXPECT_THAT(freeze.words(), HasSubstr("fsfreeze hook has failed\\x1b[2J with status 1"));
  EXPECT_TRUE(soon([&] { return !agent.frozen(); }));
}

TEST(Freeze, AThawThatFailsIsTriedAgain) {
  test::TempDir dir;
  std::atomic<int> thaws = 0;
  Agent agent(dir / "a.sock", [&](const std::string& command) -> std::optional<std::string> {
    if (command != "guest-fsfreeze-thaw" || ++thaws > 3) return std::nullopt;
    return "{\"error\": {\"desc\": \"not now\"}}\n";
  });
  Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 10s);
  ASSERT_EQ(freeze.answer(), Freeze::Answer::frozen);
  const Freeze::Report report = freeze.thaw();
  EXPECT_FALSE(agent.frozen());
  EXPECT_EQ(thaws, 4);
  EXPECT_TRUE(report.thawed);
  EXPECT_THAT(report.words, HasSubstr("not now"));
}

TEST(Freeze, AnAgentThatHangsWhileItFreezesIsThawedOnceItIsBack) {
  test::TempDir dir;
  std::atomic<bool> hang = true;
  Agent agent(dir / "a.sock", [&](const std::string& command) -> std::optional<std::string> {
    if (command != "guest-fsfreeze-freeze") return std::nullopt;
    while (hang) std::this_thread::sleep_for(10ms);
    return std::nullopt;  // freezes, long after nobody wants it
  });
  const Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 300ms);
  EXPECT_EQ(freeze.answer(), Freeze::Answer::refused);
  EXPECT_THAT(freeze.words(), HasSubstr("did not answer"));
  hang = false;
  EXPECT_TRUE(soon([&] { return agent.told().size() >= 3 && !agent.frozen(); }, 15s));
}

TEST(Freeze, AThawThatIsAnsweredWithNonsenseIsTriedAgain) {
  test::TempDir dir;
  std::atomic<int> left = 2;
  Agent agent(dir / "a.sock", [&](const std::string& command) -> std::optional<std::string> {
    return command == "guest-fsfreeze-thaw" && left-- > 0 ? std::optional("{\"error\": {\"desc\": [7]}}\n")
                                                          : std::nullopt;
  });
  Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 10s);
  EXPECT_TRUE(freeze.thaw().thawed);
  EXPECT_FALSE(agent.frozen());
}

TEST(Freeze, WhatSomebodyElseHasFrozenStaysFrozen) {
  test::TempDir dir;
  Agent agent(dir / "a.sock");
  agent.set_frozen(true);
  const Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 5s);
  EXPECT_EQ(freeze.answer(), Freeze::Answer::refused);
  EXPECT_THAT(freeze.words(), HasSubstr("frozen already, by somebody else"));
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(agent.frozen());
  EXPECT_THAT(agent.told(), ElementsAre("guest-fsfreeze-status"));
}

TEST(Freeze, HostileAnswersAreNoFreeze) {
  for (const std::string& hostile :
       {std::string(8u << 20, 'x') + "\n", std::string("\x01\x02\x03\n"), std::string("[1]\n"),
        std::string(4000, '{') + "\n", "{\"return\": " + std::string(4000, '[') + std::string(4000, ']') + "}\n",
        std::string("{\"error\": {\"desc\": 7}}\n"), std::string("{\"error\": 7}\n")}) {
    test::TempDir dir;
    Agent agent(dir / "a.sock", [&](const std::string& command) -> std::optional<std::string> {
      return command == "guest-fsfreeze-freeze" ? std::optional(hostile) : std::nullopt;
    });
    const Freeze freeze = Freeze::begin(dir / "a.sock", 5s, 5s);
    EXPECT_EQ(freeze.answer(), Freeze::Answer::refused);
    EXPECT_LT(freeze.words().size(), 400u);
  }
}

}  // namespace
}  // namespace kiln
