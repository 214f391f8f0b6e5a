// ps, logs, exec, cp, ssh and screenshot with a real guest and its agent.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "cli/with_instances.h"
#include "support/small_guest.h"

namespace kiln::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

class Living : public WithInstances {
 protected:
  Living() { EXPECT_EQ(kiln({"import", small_guest().string(), "--name", "web", "--version", "1"}).status, 0); }

  void launch(std::vector<std::string> more = {}) {
    std::vector<std::string> words{"launch", "web",    "--name", "one",     "--memory",
                                   "192M",   "--cpus", "1",      "--accel", "tcg"};
    words.insert(words.end(), more.begin(), more.end());
    const Answer launched = kiln(words);
    ASSERT_EQ(launched.status, 0) << launched.err;
  }
  void wait_until_up() {
    for (int i = 0; i < 600; ++i) {
      if (kiln({"logs", "one"}).out.find(small_guest_ready) != std::string::npos) return;
      std::this_thread::sleep_for(200ms);
    }
    FAIL() << kiln({"logs", "one"}).out;
  }
  json one() { return ask({"ps"})["instances"].at(0); }
  std::string slurp(const std::string& name) const {
    std::ifstream in(kiln / name, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  /// A shell that runs in place of kiln, and finds it in $KILN.
  Answer shell(const std::string& line) {
    kiln.environment["KILN"] = kiln.binary;
    const std::string program = std::exchange(kiln.binary, "/bin/sh");
    Answer answer = kiln({"-c", line});
    kiln.binary = program;
    return answer;
  }
};

TEST_F(Living, WorksWithoutANetwork) {
  launch();
  wait_until_up();
  // exec
  EXPECT_EQ(kiln({"exec", "one", "--", "true"}).status, 0);
  EXPECT_EQ(kiln({"exec", "one", "--", "false"}).status, 1);
  const Answer apart =
      kiln({"exec", "one", "--env", "A=x y", "--", "sh", "-c", "echo \"$A\" --json; echo err >&2; exit 3"});
  EXPECT_EQ(apart.status, 3);
  EXPECT_EQ(apart.out, "x y --json\n");
  EXPECT_THAT(apart.err, HasSubstr("err\n"));
  EXPECT_EQ(ask({"exec", "one", "--", "echo", "hi"})["stdout"], "hi\n");
  EXPECT_EQ(shell("printf 'a\\0b' | \"$KILN\" exec -i one -- sha256sum | cut -c1-8").out,
            shell("printf 'a\\0b' | sha256sum | cut -c1-8").out);
  // What nobody asked for is not read, and not waited for.
  EXPECT_EQ(shell("printf 'a\\nb\\n' | while read -r line; do \"$KILN\" exec one -- echo \"$line\"; done").out,
            "a\nb\n");
  EXPECT_EQ(shell("mkfifo fifo; exec 3<>fifo; timeout 60 \"$KILN\" exec one -- cat <&3").status, 0);
  EXPECT_THAT(kiln({"exec", "one", "--timeout", "1s", "--", "sleep", "100"}).err,
              HasSubstr("sleep did not end within 1.0 s and was killed"));
  EXPECT_EQ(kiln({"exec", "one"}).err, "error: kiln exec: the program is missing\nhelp: kiln exec one -- PROGRAM...\n");
  const auto first = kiln.start({"exec", "one", "--", "sh", "-c", "sleep 1; echo first"});
  const auto second = kiln.start({"exec", "one", "--", "sh", "-c", "sleep 1; echo second"});
  EXPECT_EQ(kiln.wait(first).out, "first\n");
  EXPECT_EQ(kiln.wait(second).out, "second\n");

  // cp
  kiln.write("hello", "hello\n");
  EXPECT_EQ(kiln({"cp", "hello", "one:/root/there"}).out, "copied 1 file, 6 B\n");
  EXPECT_EQ(kiln({"cp", "one:/root/there", "back"}).status, 0);
  EXPECT_EQ(slurp("back"), "hello\n");
  EXPECT_EQ(ask({"cp", "one:/etc", "etc"})["left_out"], 0);
  EXPECT_THAT(slurp("etc/os-release"), HasSubstr("kiln small guest"));
  EXPECT_EQ(kiln({"cp", "hello", "back"}).status, 2);
  EXPECT_EQ(kiln({"cp", "one:/a", "one:/b"}).status, 2);
  EXPECT_EQ(kiln({"cp", "one:/no", "x"}).err, "error: there is no \"/no\" in the guest\n");

  // ssh says what there is instead
  const Answer no_port = kiln({"ssh", "one"});
  EXPECT_EQ(no_port.status, 1);
  EXPECT_THAT(no_port.err, HasSubstr("no port of this host leads to port 22 of \"one\""));
  EXPECT_THAT(no_port.err, HasSubstr("kiln exec one and kiln console one"));

  // screenshot
  const json shot = ask({"screenshot", "one", "screen.png"});
  EXPECT_GE(shot["width"], 640);
  EXPECT_THAT(slurp("screen.png"), StartsWith("\x89PNG\r\n"));

  // the power button reaches the guest
  EXPECT_EQ(ask({"stop", "one"})["stopped"], "by_guest");
  EXPECT_EQ(one()["ended"]["how"], "shut down by its guest");
  EXPECT_THAT(kiln({"ps"}).out, HasSubstr("stopped  shut down by its guest  web:1"));
  EXPECT_THAT(kiln({"exec", "one", "--", "true"}).err, HasSubstr("\"one\" is not running"));
  EXPECT_THAT(kiln({"logs", "one"}).out, HasSubstr(small_guest_ready));
}

/// A port of this host that nobody listens on at the moment.
std::string free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return std::to_string(ntohs(address.sin_port));
}

TEST_F(Living, PsSaysHowEachOneIs) {
  const std::string port = free_port();
  launch({"--port", port + ":22"});
  EXPECT_EQ(one()["health"]["text"], "ok");
  EXPECT_EQ(one()["drift"]["state"], "current");
  EXPECT_GE(one()["uptime"], 0);
  const json ssh = ask({"ssh", "one", "--user", "me", "--", "ls", "-l"});
  EXPECT_THAT(ssh["arguments"].dump(), HasSubstr("\"-l\",\"me\",\"127.0.0.1\",\"--\",\"ls\",\"-l\"]"));
  EXPECT_EQ(ssh["arguments"][2], port);

  // a newer version is out; what was launched by a channel follows that
  kiln.raw_disk("disk.raw");
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "2"}).status, 0);
  EXPECT_EQ(one()["drift"]["state"], "newer");
  EXPECT_EQ(one()["drift"]["to"], "web:2");
  EXPECT_THAT(kiln({"ps"}).out, HasSubstr("web:1  web:2 is newer  " + port + ":22"));

  // a QEMU that hangs delays nothing
  const pid_t qemu = one()["pid"];
  ::kill(qemu, SIGSTOP);
  const auto begin = std::chrono::steady_clock::now();
  const json hung = one();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  EXPECT_EQ(hung["health"]["text"], "no answer");
  EXPECT_EQ(hung["state"], "running");
  ::kill(qemu, SIGCONT);

  // its death is known at once
  ::kill(qemu, SIGKILL);
  std::this_thread::sleep_for(1s);
  const json dead = one();
  EXPECT_EQ(dead["state"], "stopped");
  EXPECT_EQ(dead["ended"]["how"], "qemu was killed by signal 9 (Killed)");
  EXPECT_EQ(dead["ended"]["signal"], 9);
  EXPECT_TRUE(dead["ended"]["serial"].is_array());
  EXPECT_EQ(dead["health"], nullptr);
}

TEST_F(Living, LogsAreThereWhateverItDoes) {
  launch();
  const auto following = kiln.start({"logs", "one", "--follow"});
  wait_until_up();
  const Answer last = kiln({"logs", "one", "--tail", "1"});
  EXPECT_LE(std::count(last.out.begin(), last.out.end(), '\n'), 1);
  EXPECT_EQ(ask({"logs", "one"})["state"], "running");
  EXPECT_EQ(kiln({"logs", "one", "--follow", "--json"}).status, 2);
  ASSERT_EQ(kiln({"rm", "one"}).status, 1);
  ASSERT_EQ(kiln({"stop", "one"}).status, 0);
  const Answer followed = kiln.wait(following);
  EXPECT_EQ(followed.status, 0);
  EXPECT_THAT(followed.out, HasSubstr(small_guest_ready));
  EXPECT_EQ(followed.out, kiln({"logs", "one"}).out);
  EXPECT_EQ(kiln({"logs", "one", "--qemu"}).status, 0);
}

}  // namespace
}  // namespace kiln::test
