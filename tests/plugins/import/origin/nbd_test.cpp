// Disks that an NBD server shows: qemu-nbd's.
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "plugins/import/origin/fetching.h"
#include "support/disks.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using testing::HasSubstr;

/// One that was free a moment ago.
int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  ::bind(fd, reinterpret_cast<sockaddr*>(&at), length);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length);
  ::close(fd);
  return ntohs(at.sin_port);
}

class Nbd : public Fetching {
 protected:
  Nbd() { write_raw(dir / "disk.raw", {"", 5 << 20, {{0, 100'000}, {3 << 20, 70'000, Piece::Kind::text}}}); }
  ~Nbd() override { stop(); }

  void serve(std::vector<std::string> how) {
    std::vector<std::string> command{"qemu-nbd",          "--format=raw", "--read-only", "--persistent",
                                     "--export-name=web", "--pid-file",   dir / "pid"};
    command.insert(command.end(), how.begin(), how.end());
    command.push_back(dir / "disk.raw");
    server_ = start_server({.command = command, .log = dir / "log", .privileged = true});
    for (int tries = 0; tries < 500 && !std::filesystem::exists(dir / "pid"); ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  void stop() {
    if (server_ <= 0) return;
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    server_ = -1;
  }
  std::string socket() const { return dir / "s"; }
  std::string url(const std::string& name = "web") const { return "nbd+unix:///" + name + "?socket=" + socket(); }

  TempDir dir{"kn"};
  pid_t server_ = -1;
};

TEST_F(Nbd, IsReadWhereItIs) {
  for (const char* clients : {"--shared=1", "--shared=4"}) {
    serve({"--socket", socket(), clients});
    run({{"url", text(url())}});
    ASSERT_TRUE(ctx.produced);
    EXPECT_TRUE(same_as_raw(*ctx.produced, dir / "disk.raw")) << clients;
    const Extent hole = ctx.produced->extent_at(1 << 20);
    EXPECT_FALSE(hole.data);
    EXPECT_EQ(hole.length, 2U << 20);
    EXPECT_EQ(ctx.known_facts.at("source.format"), "raw");
    EXPECT_EQ(ctx.known_facts.at("source.url"), url());
    EXPECT_EQ(ctx.summed_up, "web  raw, by NBD, 5.0 MiB");
    stop();
    std::filesystem::remove(dir / "pid");
  }
}

TEST_F(Nbd, IsReadBySeveralThreadsAtOnce) {
  serve({"--socket", socket(), "--shared=4"});
  run({{"url", text(url())}});
  std::vector<std::byte> whole(5 << 20);
  ctx.produced->read(0, whole);
  std::vector<std::thread> threads;
  std::atomic<int> same = 0;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&] {
      std::vector<std::byte> mine(5 << 20);
      ctx.produced->read(0, mine);
      if (mine == whole) ++same;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, 6);
}

TEST_F(Nbd, OverTcpHasToBeAllowed) {
  const std::string port = std::to_string(free_port());
  serve({"--bind=127.0.0.1", "--port=" + port, "--shared=4"});
  for (const char* host : {"127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"}) {
    const Error error = failure({{"url", text("nbd://" + (host + (":" + port)) + "/web")}, {"allow", texts({})}});
    EXPECT_EQ(error.code(), code::private_address) << host;
  }
  run({{"url", text("nbd://127.0.0.1:" + port + "/web")}});
  ASSERT_TRUE(ctx.produced);
  EXPECT_TRUE(same_as_raw(*ctx.produced, dir / "disk.raw"));
}

TEST_F(Nbd, ThatIsNotThereOrEndsIsSaidSo) {
  Error error = failure({{"url", text(url())}});
  EXPECT_THAT(error.what(), HasSubstr("cannot connect to nbd+unix:///web?socket="));
  error = failure({{"url", text("nbd+unix:///web")}});
  EXPECT_EQ(error.code(), code::invalid_url);
  serve({"--socket", socket(), "--shared=4"});
  error = failure({{"url", text(url("other"))}});
  EXPECT_THAT(error.what(), HasSubstr("cannot read the disk from the NBD server"));
  run({{"url", text(url())}});
  stop();
  std::vector<std::byte> bytes(4096);
  EXPECT_THROW(ctx.produced->read(0, bytes), Error);
}

TEST_F(Nbd, SilentServersAreNotWaitedFor) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  socket().copy(at.sun_path, sizeof at.sun_path - 1);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  Error error("");
  EXPECT_LT(timed([&] { error = failure({{"url", text(url())}, {"timeout", text("300ms")}}); }), Duration(5000));
  EXPECT_THAT(error.what(), HasSubstr("it was silent for 0.3 s"));
  ::close(listener);
}

}  // namespace
}  // namespace kiln::test
