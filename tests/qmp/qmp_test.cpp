#include "qmp/qmp.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "process/process.h"
#include "support/line_server.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
const std::string greeting = R"({"QMP": {"version": {}, "capabilities": []}})"
                             "\r\n";

/// Answers every command with {} and, for "boom", with an error.
std::string ordinary(const std::string& line) {
  const json ask = json::parse(line);
  if (ask["execute"] == "boom")
    return json{{"error", {{"class", "GenericError"}, {"desc", "no such thing"}}}, {"id", ask["id"]}}.dump() + "\n";
  if (ask["execute"] == "silent") return {};
  const std::string event = R"({"event": "SHUTDOWN", "data": {"guest": true}})"
                            "\n";
  return event + json{{"return", {{"echo", ask.value("arguments", json())}}}, {"id", ask["id"]}}.dump() + "\n";
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Qmp, TalksAndKeepsEvents) {
  test::TempDir dir;
  const test::LineServer server(dir / "s", greeting, ordinary);
  Qmp qmp = Qmp::connect(dir / "s", 5s);
  EXPECT_EQ(qmp.execute("query", json{{"a", 1}})["echo"]["a"], 1);
  const auto event = qmp.wait_event("SHUTDOWN", 1s);
  ASSERT_TRUE(event);
  EXPECT_EQ((*event)["data"]["guest"], true);
  EXPECT_TRUE(qmp.wait_event("SHUTDOWN", 1s));  // one of the handshake, one of the query
  EXPECT_FALSE(qmp.wait_event("SHUTDOWN", 20ms));
}

TEST(Qmp, SaysWhatWasRefused) {
  test::TempDir dir;
  const test::LineServer server(dir / "s", greeting, ordinary);
  Qmp qmp = Qmp::connect(dir / "s", 5s);
  EXPECT_EQ(error_of([&] { qmp.execute("boom"); }), "qemu refused \"boom\": no such thing");
}

TEST(Qmp, ASilentPeerRunsIntoTheLimit) {
  test::TempDir dir;
  const test::LineServer server(dir / "s", greeting, ordinary);
  Qmp qmp = Qmp::connect(dir / "s", 5s);
  EXPECT_EQ(error_of([&] { qmp.execute("silent", 100ms); }), "qemu did not answer \"silent\" within 0.1 s");
  EXPECT_TRUE(qmp.execute("query").is_object());
}

TEST(Qmp, NobodyListens) {
  test::TempDir dir;
  EXPECT_EQ(error_of([&] { Qmp::connect(dir / "s", 50ms); }), "cannot connect to qemu: No such file or directory");
}

TEST(Qmp, APeerThatIsNoQmpOrGoesAway) {
  test::TempDir dir;
  const test::LineServer other(dir / "a", "{\"hello\": 1}\n", ordinary);
  EXPECT_EQ(error_of([&] { Qmp::connect(dir / "a", 5s); }), "qemu does not speak QMP");
  const test::LineServer gone(dir / "b", greeting, [](const std::string&) { return "close"; });
  EXPECT_EQ(error_of([&] { Qmp::connect(dir / "b", 5s); }), "qemu closed the connection");
}

TEST(Qmp, HostileBytesAreErrors) {
  test::TempDir dir;
  const test::LineServer text(dir / "a", "SSH-2.0-OpenSSH\n", ordinary);
  EXPECT_EQ(error_of([&] { Qmp::connect(dir / "a", 5s); }), "qemu sent something that is no JSON object");
  const test::LineServer deep(dir / "b", "{\"QMP\":" + std::string(100'000, '[') + "\n", ordinary);
  EXPECT_EQ(error_of([&] { Qmp::connect(dir / "b", 5s); }), "qemu sent JSON that is nested too deep");
  const test::LineServer endless(dir / "c", std::string(5u << 20, 'x'), ordinary);
  EXPECT_EQ(error_of([&] { Qmp::connect(dir / "c", 5s); }), "qemu sent a line that is too long");
}

TEST(Qmp, StopIsSeenWhileWaiting) {
  test::TempDir dir;
  std::stop_source stop;
  const test::LineServer server(dir / "s", greeting, ordinary);
  Qmp qmp = Qmp::connect(dir / "s", 5s, stop.get_token());
  const std::jthread later([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  EXPECT_EQ(error_of([&] { qmp.execute("silent", 60s); }), "cancelled");
}

TEST(Qmp, WorksWithARealStorageDaemonOnADeepPath) {
  test::TempDir dir;
  std::filesystem::path deep = dir.path();
  for (int i = 0; i < 3; ++i) deep /= std::string(60, 'd');
  std::filesystem::create_directories(deep);
  Child daemon = Child::start(
      {"qemu-storage-daemon", {"--chardev", "socket,id=c,path=qmp.sock,server=on,wait=off", "--monitor", "chardev=c"}},
      dir / "log", deep);
  Qmp qmp = Qmp::connect(deep / "qmp.sock", 10s, {}, "qemu-storage-daemon");
  qmp.execute("blockdev-add", json{{"driver", "null-co"}, {"node-name", "n"}, {"size", 1048576}});
  const json nodes = qmp.execute("query-named-block-nodes");
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0]["image"]["virtual-size"], 1048576);
  EXPECT_THAT(error_of([&] {
                qmp.execute("blockdev-del", json{{"node-name", "other"}});
              }),
              HasSubstr("qemu-storage-daemon refused \"blockdev-del\": "));
  qmp.execute("quit");
  EXPECT_TRUE(daemon.wait(10s));
}

}  // namespace
}  // namespace kiln
