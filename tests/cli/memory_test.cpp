// kiln capture --with-memory and kiln launch --resume: a guest goes on where it was captured, beside itself.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include <kiln/file.h>

#include <nlohmann/json.hpp>

#include "cli/with_instances.h"
#include "qmp/json_socket.h"
#include "support/small_guest.h"

namespace kiln::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class Memory : public WithInstances {
 protected:
  std::string log(const std::string& name) const {
    const auto log = file_of(name, "serial.log");
    return std::filesystem::exists(log) ? read_text(log) : "";
  }
  void wait_for(const std::string& name, const std::string& text) const {
    for (int i = 0; i < 2400; ++i) {
      if (log(name).find(text) != std::string::npos) return;
      std::this_thread::sleep_for(50ms);
    }
    FAIL() << name << " did not say " << text << ":\n" << log(name);
  }
  /// Into the root shell of the serial console.
  void type(const std::string& name, const std::string& line) const {
    const int fd = connect_unix(file_of(name, "console.sock"));
    const std::string text = line + "\n";
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    std::this_thread::sleep_for(200ms);
    ::close(fd);
  }
};

TEST_F(Memory, AGuestGoesOnWhereItWas) {
  tell({"import", small_guest().string(), "--name", "small"});
  tell({"launch", "small", "--name", "one", "--memory", "192M", "--cpus", "1", "--accel", "tcg"});
  wait_for("one", small_guest_ready);
  type("one", "SECRET=$((6 * 7)); date -s 2001-01-01; echo not written >/srv/cached; echo SET-$SECRET");
  wait_for("one", "SET-42");
  const std::string said = tell({"capture", "one", "--with-memory", "--name", "moment:1"});
  EXPECT_THAT(said, HasSubstr("with its memory, stood still for "));
  EXPECT_THAT(said, Not(HasSubstr("warning")));
  const json image = json::parse(tell({"image", "show", "moment", "--json"}));
  ASSERT_EQ(image["parts"].size(), 1u);
  EXPECT_EQ(image["parts"][0]["role"], "memory");
  EXPECT_THAT(image["facts"]["memory.board"], HasSubstr("pc-q35-"));
  type("one", "SECRET=later; echo SET-$SECRET");
  wait_for("one", "SET-later");

  tell({"launch", "moment", "--resume", "--name", "two", "--count", "2"});
  for (const char* two : {"two-1", "two-2"}) {
    type(two, "echo IS-$SECRET $(cat /srv/cached)");
    wait_for(two, "IS-42 not written");
    EXPECT_THAT(log(two), Not(HasSubstr(small_guest_ready))) << "it booted";
    EXPECT_FALSE(std::filesystem::exists(file_of(two, "memory.qcow2")));
    EXPECT_THAT(tell({"exec", two, "--", "cat", "/srv/cached"}), HasSubstr("not written"));
    const auto late = std::stoll(tell({"exec", two, "--", "date", "+%s"})) - std::time(nullptr);
    EXPECT_LT(std::abs(late), 60) << "its clock was set, which said 2001";
  }
  EXPECT_THAT(tell({"exec", "one", "--", "cat", "/srv/cached"}), HasSubstr("not written"));

  // From then on it is an instance as any other, and its disk one that boots.
  tell({"capture", "two-1", "--name", "again"});
  tell({"stop", "two-1", "--timeout", "1s"});
  tell({"start", "two-1"});
  wait_for("two-1", small_guest_ready);
  tell({"launch", "moment", "--name", "three"});
  wait_for("three", small_guest_ready);
}

TEST_F(Memory, WhatCannotGoOnIsRefusedWithTheReason) {
  kiln.raw_disk("disk.raw");
  tell({"import", "disk.raw", "--name", "web", "--version", "1"});
  EXPECT_THAT(tell({"launch", "web", "--resume"}, 3), HasSubstr("web:1 has no memory to go on from"));
  tell({"launch", "web", "--name", "one", "--memory", "64M", "--cpus", "1", "--accel", "tcg"});
  tell({"capture", "one", "--with-memory", "--name", "moment:1"});
  EXPECT_THAT(tell({"launch", "moment", "--resume", "--memory", "128M"}, 2),
              HasSubstr("--memory and --resume do not go together"));
  EXPECT_THAT(tell({"launch", "moment", "--resume", "--stopped"}, 2), HasSubstr("--stopped"));
  EXPECT_THAT(tell({"launch", "moment", "--resume", "--queue"}, 2), HasSubstr("--queue"));
  EXPECT_THAT(tell({"launch", "moment", "--resume", "--accel", "kvm"}, 3),
              HasSubstr("was captured under tcg, and its memory cannot go on under kvm"));
  EXPECT_THAT(tell({"launch", "--as", "bob", "moment", "--resume"}, 2), HasSubstr("moment")) << "not bob's to see";
  tell({"image", "public", "moment"});
  const std::string owner = ask({"image", "show", "moment"})["owner"];
  EXPECT_THAT(tell({"launch", "--as", "bob", owner + "/moment", "--resume"}, 3),
              HasSubstr("the memory of a machine is loaded of your own only"));

  EXPECT_THAT(tell({"capture", "one", "--with-memory", "--generalize", "--name", "x"}, 2),
              HasSubstr("do not go together"));
  EXPECT_THAT(tell({"capture", "one", "--with-memory", "--require", "quiesced", "--name", "x"}, 2),
              HasSubstr("neither stopped nor quiesced"));
  EXPECT_THAT(tell({"capture", "--qmp", file_of("one", "capture.sock").string(), "--with-memory", "--name", "x"}, 2),
              HasSubstr("could not make another machine again"));
  tell({"stop", "one", "--timeout", "1s"});
  EXPECT_THAT(tell({"capture", "one", "--with-memory", "--name", "x"}, 3), HasSubstr("no memory to capture"));
}

}  // namespace
}  // namespace kiln::test
