#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>

#include <kiln/file.h>
#include <kiln/hash.h>

#include "machine/instances.h"
#include "process/process.h"
#include "support/temp.h"
#include "support/tiny_image.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
const Accelerator tcg{"tcg", ""};

/// All that has arrived: a terminal hands it out in pieces, the echo of the keys being one of them.
std::string what_shows(int screen) {
  std::string all;
  for (pollfd ready{screen, POLLIN, 0}; ::poll(&ready, 1, 200) == 1;) {
    std::array<char, 4096> part{};
    const ssize_t n = ::read(screen, part.data(), part.size());
    if (n <= 0) break;
    all.append(part.data(), static_cast<std::size_t>(n));
  }
  return all;
}

class Launch : public testing::Test {
 protected:
  void TearDown() override {
    for (const Instance& i : instances_.list()) instances_.remove(i.name, true);
  }

  LaunchSpec small() const {
    LaunchSpec spec;
    spec.memory = Bytes{128u << 20};
    spec.cpus = 1;
    return spec;
  }

  void wait_for(const std::filesystem::path& log, const std::string& text) const {
    for (int i = 0; i < 6000; ++i) {
      if (std::filesystem::exists(log) && read_text(log).find(text) != std::string::npos) return;
      std::this_thread::sleep_for(20ms);
    }
    FAIL() << "no \"" << text << "\" in " << log;
  }

  test::TempDir home_;
  Instances instances_{home_.path()};
  LaunchBase base_{{test::tiny_image("stay"), "qcow2"}, "img-1", "Tiny_Image:1", "Tiny_Image", Firmware::bios};
};

TEST_F(Launch, RunsListsTalksStopsAndGoesAway) {
  const std::string before = hash_file(base_.disk.file);
  const Launched launched = instances_.launch(base_, small(), tcg);
  EXPECT_EQ(launched.name, "Tiny-Image");
  const Instance running = instances_.get("Tiny-Image");
  EXPECT_EQ(running.state, Instance::State::running);
  EXPECT_EQ(running.process.pid, launched.pid);
  wait_for(launched.serial_log, "KILN-BOOT-OK");

  int screen = -1, keyboard = -1;
  ASSERT_EQ(::openpty(&screen, &keyboard, nullptr, nullptr, nullptr), 0);
  ASSERT_EQ(::write(screen, "x\x1d", 2), 2);  // a key for the guest, then Ctrl-]
  instances_.console("Tiny-Image", keyboard, keyboard);
  EXPECT_THAT(what_shows(screen), HasSubstr("KILN-BOOT-OK"));
  ::close(screen);
  ::close(keyboard);

  // GRUB does not hear the power button: the second way ends it.
  EXPECT_EQ(instances_.stop("Tiny-Image", 200ms), Stopped::by_qemu);
  EXPECT_EQ(instances_.get("Tiny-Image").state, Instance::State::stopped);
  EXPECT_EQ(instances_.stop("Tiny-Image"), Stopped::already);
  EXPECT_EQ(hash_file(base_.disk.file), before);
  instances_.remove("Tiny-Image");
  EXPECT_FALSE(std::filesystem::exists(running.folder));
}

TEST_F(Launch, ASecondOneGetsANameOfItsOwn) {
  EXPECT_EQ(instances_.launch(base_, small(), tcg).name, "Tiny-Image");
  EXPECT_EQ(instances_.launch(base_, small(), tcg).name, "Tiny-Image-2");
  EXPECT_EQ(instances_.instances_of("img-1").size(), 2u);
  instances_.remove("Tiny-Image-2", true);
  EXPECT_EQ(instances_.list().size(), 1u);
}

TEST_F(Launch, AKilledQemuIsStopped) {
  const Launched launched = instances_.launch(base_, small(), tcg);
  ASSERT_EQ(::kill(static_cast<pid_t>(launched.pid), SIGKILL), 0);
  EXPECT_TRUE(wait_gone(instances_.get(launched.name).process, 5s));
  EXPECT_EQ(instances_.get(launched.name).state, Instance::State::stopped);
}

TEST_F(Launch, AFrozenQemuIsKilled) {
  const Launched launched = instances_.launch(base_, small(), tcg);
  ASSERT_EQ(::kill(static_cast<pid_t>(launched.pid), SIGSTOP), 0);
  EXPECT_EQ(instances_.stop(launched.name, 100ms), Stopped::killed);
}

TEST_F(Launch, AQemuThatDoesNotStartLeavesNothing) {
  LaunchSpec spec = small();
  spec.cpus = 100'000;
  try {
    instances_.launch(base_, spec, tcg);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "qemu did not start");
    EXPECT_THAT(e.evidence(), Contains(HasSubstr("CPUs")));
  }
  EXPECT_TRUE(instances_.list().empty());
  EXPECT_FALSE(std::filesystem::exists(home_ / "instances/Tiny-Image"));
}

TEST_F(Launch, WorksInADeepHome) {
  std::filesystem::path deep = home_.path();
  for (int i = 0; i < 3; ++i) deep /= std::string(60, 'd');
  const Instances instances(deep);
  const Launched launched = instances.launch(base_, small(), tcg);
  EXPECT_EQ(instances.stop(launched.name, 100ms), Stopped::by_qemu);
}

}  // namespace
}  // namespace kiln
