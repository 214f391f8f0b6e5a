// What arrives on the standard input.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "plugins/import/origin/fetching.h"

namespace kiln::test {
namespace {

using testing::HasSubstr;

class Stdin : public Fetching {
 protected:
  Stdin() : saved_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) {}
  ~Stdin() override {
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }
  static void become(int fd) {
    ::dup2(fd, STDIN_FILENO);
    ::close(fd);
  }
  /// Runs while somebody writes this into a pipe.
  template <class F>
  void with(const std::string& bytes, F&& f) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    become(ends[0]);
    std::thread writer([&, to = ends[1]] {
      for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t n = ::write(to, bytes.data() + at, bytes.size() - at);
        if (n <= 0) break;
        at += static_cast<std::size_t>(n);
      }
      ::close(to);
    });
    f();
    become(::open("/dev/null", O_RDONLY | O_CLOEXEC));  // whoever still writes sees that nobody reads
    writer.join();
  }

  static constexpr char dash[] = "-";

 private:
  const int saved_;
};

TEST_F(Stdin, IsTakenAsAFile) {
  const std::string disk = random_bytes(200'001) + std::string(3 << 20, '\0') + random_bytes(77, 2);
  with(disk, [&] { run({{"file", text(dash)}, {"sha256", text(to_hex(sha256(disk)))}}); });
  EXPECT_EQ(content(), disk);
  EXPECT_EQ(ctx.known_facts.at("source.file"), "stdin");
  EXPECT_EQ(ctx.known_facts.at("source.sha256"), to_hex(sha256(disk)));
  EXPECT_FALSE(std::filesystem::exists(ctx.scratch() / "stdin"));
}

TEST_F(Stdin, IsRefusedWhenItIsAnotherOrTooLarge) {
  ::signal(SIGPIPE, SIG_IGN);
  with("abc", [&] {
    EXPECT_EQ(failure({{"file", text(dash)}, {"sha256", text(std::string(64, 'a'))}}).code(), code::hash_mismatch);
  });
  with(std::string(300'000, 'x'), [&] {
    EXPECT_EQ(failure({{"file", text(dash)}, {"limit", text("100K")}}).code(), code::disk_too_large);
  });
  become(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(failure({{"file", text(dash)}, {"limit", text("100M")}}).code(), code::disk_too_large);
}

TEST_F(Stdin, IsNoTerminal) {
  int master = -1, terminal = -1;
  ASSERT_EQ(::openpty(&master, &terminal, nullptr, nullptr, nullptr), 0);
  become(terminal);
  EXPECT_STREQ(failure({{"file", text(dash)}}).what(), "the standard input is a terminal");
  ::close(master);
}

TEST_F(Stdin, IsNotWaitedForOnceSomebodyStops) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  become(ends[0]);
  std::thread stop([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ctx.stop_source.request_stop();
  });
  EXPECT_TRUE(is_cancelled(failure({{"file", text(dash)}})));
  stop.join();
  ::close(ends[1]);
}

TEST_F(Stdin, IsNeverTheSameTwice) {
  const Table table = params({{"file", text(dash)}});
  EXPECT_THAT(load_stage("import").fingerprint_with(table), HasSubstr("read at "));
}

}  // namespace
}  // namespace kiln::test
