#include "qmp/guest_agent.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/line_server.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

/// As the agent does: half of what an earlier caller was sent comes first, the answer to a sync after the mark.
std::string agent(std::string line) {
  line.erase(0, line.find('{'));
  const json ask = json::parse(line);
  if (ask["execute"] == "guest-sync-delimited")
    return "{\"return\": {\"stale\"\xff" + json{{"return", ask["arguments"]["id"]}}.dump() + "\n";
  if (ask["execute"] == "guest-ping") return "{\"return\": {}}\n";
  return R"({"error": {"class": "CommandNotFound", "desc": "not known"}})"
         "\n";
}

TEST(GuestAgent, PingAfterStaleBytes) {
  test::TempDir dir;
  const test::LineServer server(dir / "s", {}, agent);
  GuestAgent talk = GuestAgent::connect(dir / "s", 5s);
  EXPECT_TRUE(talk.ping(5s));
  EXPECT_TRUE(talk.ping(5s));
}

TEST(GuestAgent, NoAgentBehindTheSocket) {
  test::TempDir dir;
  const test::LineServer server(dir / "s", {}, [](const std::string&) { return std::string(); });
  GuestAgent talk = GuestAgent::connect(dir / "s", 5s);
  EXPECT_FALSE(talk.ping(50ms));
  try {
    talk.execute("guest-info", 50ms);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the guest agent did not answer \"guest-info\" within 0.1 s");
  }
}

TEST(GuestAgent, SaysWhatWasRefused) {
  test::TempDir dir;
  const test::LineServer server(dir / "s", {}, agent);
  GuestAgent talk = GuestAgent::connect(dir / "s", 5s);
  try {
    talk.execute("guest-frobnicate", json{{"x", 1}});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the guest agent refused \"guest-frobnicate\": not known");
  }
}

}  // namespace
}  // namespace kiln
