// Programs and files in a guest through its agent: a real one, and one that lies.
#include "machine/guest_access.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <random>
#include <thread>

#include <kiln/file.h>
#include <kiln/hash.h>
#include <nlohmann/json.hpp>

#include "machine/guest_copy.h"
#include "machine/instance_record.h"
#include "machine/qemu.h"
#include "support/disk_size.h"
#include "support/line_server.h"
#include "support/small_guest.h"
#include "support/temp.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

/// One guest for all tests here: each of them leaves it as it was.
class GuestWork : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    home_ = new test::TempDir;
    LaunchSpec spec;
    spec.memory = Bytes{256u << 20};
    spec.cpus = 1;
    const auto file = test::small_guest();
    const LaunchBase base{{file, "qcow2"}, "img-1", "small:1", "small", test::disk_size(file)};
    Instances(home_->path()).launch(base, spec, {"tcg", ""});
    for (int i = 0; i < 600; ++i) try {
        (void)GuestAccess::open(instance(), {}, 500ms);
        return;
      } catch (const Error&) {
        std::this_thread::sleep_for(100ms);
      }
  }
  static void TearDownTestSuite() {
    Instances(home_->path()).remove("small", true);
    delete home_;
  }
  static Instance instance() { return Instances(home_->path()).get("small"); }
  static GuestAccess guest() { return GuestAccess::open(instance()); }
  static GuestOutcome sh(const std::string& line) { return guest().run({"sh", {"-c", line}}); }

  static test::TempDir* home_;
  test::TempDir dir_;
};
test::TempDir* GuestWork::home_ = nullptr;

TEST_F(GuestWork, AProgramEndsAsItEnds) {
  EXPECT_EQ(guest().run({"true"}).exit.status, 0);
  EXPECT_EQ(guest().run({"false"}).exit.status, 1);
  EXPECT_EQ(sh("exit 42").exit.status, 42);
  EXPECT_EQ(sh("kill -9 $$").exit.signal, 9);
  EXPECT_THAT([] { guest().run({"no-such-program"}); },
              testing::ThrowsMessage<Error>(HasSubstr("the guest agent refused \"guest-exec\": ")));
}

TEST_F(GuestWork, ArgumentsInputAndEnvironmentArriveAsTheyAre) {
  const GuestOutcome echo = guest().run({"echo", {"-n", "a  b", "$HOME", "`id`", "*", "'\"", "ü"}});
  EXPECT_EQ(echo.out, "a  b $HOME `id` * '\" ü");
  EXPECT_EQ(echo.err, "");
  std::string input;
  for (int i = 0; i < 100'000; ++i) input.push_back(static_cast<char>(i * 7));
  EXPECT_EQ(guest().run({.program = "cat", .input = input}).out, input);
  EXPECT_EQ(guest().run({.program = "sh", .args = {"-c", "echo $A; echo $B >&2"}, .environment = {"A=1 2", "B=3"}}).err,
            "3\n");
  EXPECT_THROW(guest().run({.program = "cat", .input = std::string(GuestAccess::longest_input + 1, 'x')}), Error);
}

TEST_F(GuestWork, OutputIsBounded) {
  const GuestOutcome long_one = sh("head -c 6000000 /dev/zero; echo err >&2");
  EXPECT_EQ(long_one.out.size(), 6'000'000u);
  EXPECT_EQ(long_one.err, "err\n");
  EXPECT_FALSE(long_one.out_cut);
}

TEST_F(GuestWork, WhatTakesTooLongIsKilled) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT([] { guest().run({.program = "sleep", .args = {"4321"}, .limit = 300ms}); },
              testing::ThrowsMessage<Error>("sleep did not end within 0.3 s and was killed"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_EQ(sh("ps | grep -c '[s]leep 4321'").out, "0\n");

  std::stop_source stop;
  GuestAccess access = GuestAccess::open(instance(), stop.get_token());
  std::jthread later([&] {
    std::this_thread::sleep_for(500ms);
    stop.request_stop();
  });
  try {
    access.run({"sleep", {"1234"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(is_cancelled(error));
  }
  { const GuestAccess gone = std::move(access); }
  EXPECT_EQ(sh("ps | grep -c '[s]leep 1234'").out, "0\n");
}

TEST_F(GuestWork, FilesGoBothWaysEqual) {
  std::mt19937_64 random(1);
  std::string bytes(5'000'000, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  write_text(dir_ / "five", bytes);
  fs::permissions(dir_ / "five", static_cast<fs::perms>(0751));
  std::uint64_t told = 0;
  {
    GuestAccess access = guest();
    const CopyReport there = copy_to_guest(access, dir_ / "five", "/root/", [&](auto done, auto total) {
      EXPECT_EQ(total, 5'000'000u);
      told = done;
    });
    EXPECT_EQ(there.bytes, 5'000'000u);
    EXPECT_EQ(told, 5'000'000u);
    const CopyReport back = copy_from_guest(access, "/root/five", dir_ / "back");
    EXPECT_EQ(back.files, 1u);
  }
  EXPECT_EQ(hash_file(dir_ / "back"), hash_file(dir_ / "five"));
  EXPECT_EQ(fs::status(dir_ / "back").permissions(), static_cast<fs::perms>(0751));
  EXPECT_THAT(sh("sha256sum /root/five").out, HasSubstr(hash_file(dir_ / "five")));
  sh("rm /root/five");
}

TEST_F(GuestWork, FoldersGoBothWaysEqual) {
  fs::create_directories(dir_ / "site/in/deep");
  fs::create_directory(dir_ / "site/empty");
  write_text(dir_ / "site/in/a", std::string(300'000, 'a'));
  write_text(dir_ / "site/in/deep/ü x", "umlaut");
  fs::permissions(dir_ / "site/in/a", static_cast<fs::perms>(0640));
  fs::create_symlink("a", dir_ / "site/in/link");
  {
    GuestAccess access = guest();
    EXPECT_EQ(copy_to_guest(access, dir_ / "site", "/srv").files, 2u);
    EXPECT_EQ(copy_to_guest(access, dir_ / "site", "/srv/other").files, 2u);
    EXPECT_EQ(copy_from_guest(access, "/srv/site", dir_ / "back").files, 2u);
    fs::create_directory(dir_ / "into");
    EXPECT_EQ(copy_from_guest(access, "/srv/other/", dir_ / "into").files, 2u);
  }
  for (const fs::path& copy : {dir_ / "back", dir_ / "into/other"}) {
    EXPECT_EQ(read_text(copy / "in/a"), std::string(300'000, 'a'));
    EXPECT_EQ(read_text(copy / "in/deep/ü x"), "umlaut");
    EXPECT_EQ(fs::status(copy / "in/a").permissions(), static_cast<fs::perms>(0640));
    EXPECT_EQ(fs::read_symlink(copy / "in/link"), "a");
    EXPECT_TRUE(fs::is_directory(copy / "empty"));
  }
  EXPECT_EQ(sh("ls -d /tmp/kiln-*").out, "") << "nothing stays on the way";
  EXPECT_EQ(sh("stat -c %u:%g:%a /srv/site/in/a").out, "0:0:640\n");
  sh("rm -r /srv/site /srv/other");
}

TEST_F(GuestWork, WhatCannotBeCopiedIsSaid) {
  GuestAccess access = guest();
  EXPECT_THAT([&] { copy_from_guest(access, "/no/such", dir_ / "x"); },
              testing::ThrowsMessage<Error>("there is no \"/no/such\" in the guest"));
  EXPECT_THAT([&] { copy_from_guest(access, "/dev/zero", dir_ / "x"); },
              testing::ThrowsMessage<Error>("\"/dev/zero\" in the guest is neither file nor folder"));
  EXPECT_THAT([&] { copy_from_guest(access, "relative", dir_ / "x"); },
              testing::ThrowsMessage<Error>(HasSubstr("begins with \"/\"")));
  EXPECT_THAT([&] { copy_to_guest(access, dir_ / "none", "/root"); },
              testing::ThrowsMessage<Error>(HasSubstr("there is no ")));
  write_text(dir_ / "a", "a");
  EXPECT_THAT([&] { copy_to_guest(access, dir_ / "a", "/no/such/folder"); },
              testing::ThrowsMessage<Error>(HasSubstr("the guest agent refused \"guest-file-open\": ")));
  EXPECT_TRUE(fs::is_empty(dir_.path()) || !fs::exists(dir_ / "x"));
  EXPECT_EQ(copy_from_guest(access, "/proc/version", dir_ / "version").files, 1u);
  EXPECT_THAT(read_text(dir_ / "version"), HasSubstr("Linux version"));
}

TEST_F(GuestWork, TwoAtOnceTakeTurns) {
  std::vector<std::jthread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      if (sh("sleep 0.2; echo " + std::to_string(i)).out == std::to_string(i) + "\n") ++right;
    });
  threads.clear();
  EXPECT_EQ(right, 6);
  const GuestAccess busy = guest();
  EXPECT_THAT([&] { GuestAccess::open(instance(), {}, 200ms); },
              testing::ThrowsMessage<Error>("another kiln is talking to the agent of \"small\""));
}

/// An instance whose agent says what the test wants.
class LyingAgent : public testing::Test {
 protected:
  LyingAgent() {
    instance_.name = "liar";
    instance_.folder = dir_.path();
    instance_.state = Instance::State::running;
  }
  GuestAccess open(std::function<json(const json&)> answer) {
    server_ =
        std::make_unique<test::LineServer>(dir_ / "agent.sock", "", [answer = std::move(answer)](std::string line) {
          line.erase(0, line.find('{'));
          const json ask = json::parse(line);
          if (ask["execute"] == "guest-sync-delimited")
            return "\xff" + json{{"return", ask["arguments"]["id"]}}.dump() + "\n";
          if (ask["execute"] == "guest-ping") return std::string("{\"return\": {}}\n");
          return answer(ask).dump() + "\n";
        });
    return GuestAccess::open(instance_);
  }
  static json returns(const json& value) { return {{"return", value}}; }

  test::TempDir dir_;
  Instance instance_;
  std::unique_ptr<test::LineServer> server_;
};

TEST_F(LyingAgent, AnswersWithoutSenseAreErrors) {
  for (const json& lie : {json("text"), json(7), json::array(), json::object(), json{{"pid", "one"}}}) {
    {
      GuestAccess access = open([&](const json&) { return returns(lie); });
      EXPECT_THAT(
          [&] { access.run({"true"}); },
          testing::ThrowsMessage<Error>("the guest agent answered \"guest-exec\" with something that makes no sense"));
    }
    server_.reset();
    fs::remove(dir_ / "agent.sock");
  }
}

TEST_F(LyingAgent, OutputThatIsNoBase64IsAnError) {
  GuestAccess access = open([](const json& ask) {
    if (ask["execute"] == "guest-exec") return returns({{"pid", 1}});
    return returns({{"exited", true}, {"exitcode", 0}, {"out-data", "!!!"}});
  });
  EXPECT_THAT([&] { access.run({"true"}); }, testing::ThrowsMessage<Error>(HasSubstr("makes no sense")));
}

TEST_F(LyingAgent, AnEndlessFileEnds) {
  GuestAccess access = open([](const json& ask) {
    if (ask["execute"] == "guest-exec") return returns({{"pid", 1}});
    if (ask["execute"] == "guest-exec-status")  // "81a4 10\n": a file of ten bytes
      return returns({{"exited", true}, {"exitcode", 0}, {"out-data", "ODFhNCAxMAo="}});
    if (ask["execute"] == "guest-file-open") return returns(3);
    return returns({{"count", 49152}, {"buf-b64", std::string(65536, 'A')}, {"eof", false}});
  });
  EXPECT_THAT([&] { copy_from_guest(access, "/x", dir_ / "x"); },
              testing::ThrowsMessage<Error>("\"/x\" in the guest is longer than it said"));
  EXPECT_FALSE(fs::exists(dir_ / "x"));
}

TEST_F(LyingAgent, APieceLongerThanAskedIsAnError) {
  GuestAccess access = open([](const json& ask) {
    if (ask["execute"] == "guest-file-open") return returns(3);
    return returns({{"count", 1}, {"buf-b64", std::string(1u << 20, 'A')}});
  });
  GuestFile file(access, "/x", GuestFile::Mode::read);
  EXPECT_THAT([&] { file.read(); }, testing::ThrowsMessage<Error>(HasSubstr("makes no sense")));
}

TEST_F(LyingAgent, AWriteThatIsNotDoneIsAnError) {
  for (const json& count : {json(0), json(-1), json(1u << 30), json("all")}) {
    {
      GuestAccess access = open([&](const json& ask) {
        return ask["execute"] == "guest-file-open" ? returns(3) : returns({{"count", count}});
      });
      GuestFile file(access, "/x", GuestFile::Mode::write);
      EXPECT_THROW(file.write("text"), Error) << count;
    }
    server_.reset();
    fs::remove(dir_ / "agent.sock");
  }
}

TEST_F(LyingAgent, NobodyThereIsSaid) {
  instance_.state = Instance::State::stopped;
  EXPECT_THAT([&] { GuestAccess::open(instance_); }, testing::ThrowsMessage<Error>("\"liar\" is not running"));
  instance_.state = Instance::State::running;
  const test::LineServer silent(dir_ / "agent.sock", "", [](const std::string&) { return std::string(); });
  EXPECT_THAT([&] { GuestAccess::open(instance_, {}, 100ms); },
              testing::ThrowsMessage<Error>("no guest agent answers in \"liar\""));
}

}  // namespace
}  // namespace kiln
