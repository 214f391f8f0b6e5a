// How a machine ended is known at once, whatever ended it, and nobody has to look on.
#include "machine/attend.h"

#include <gmock/gmock.h>

#include <csignal>
#include <thread>

#include <kiln/file.h>

#include "machine/ending.h"
#include "machine/instance_record.h"
#include "machine/instances.h"
#include "support/disk_size.h"
#include "support/temp.h"
#include "support/tiny_image.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
const Accelerator tcg{"tcg", ""};

class Attend : public testing::Test {
 protected:
  void TearDown() override {
    for (const Instance& i : instances_.list()) instances_.remove(i.name, true);
  }

  Instance launch(const std::string& image = "stay") {
    LaunchSpec spec;
    spec.memory = Bytes{128u << 20};
    spec.cpus = 1;
    const auto file = test::tiny_image(image);
    const LaunchBase base{{file, "qcow2"}, "img-1", "tiny:1", "tiny", test::disk_size(file)};
    return instances_.get(instances_.launch(base, spec, tcg).front().name);
  }

  static void wait_for(const Instance& instance, const std::string& text) {
    for (int i = 0; i < 6000; ++i) {
      if (read_text(instance.folder / "serial.log").find(text) != std::string::npos) return;
      std::this_thread::sleep_for(20ms);
    }
    FAIL() << "no \"" << text << "\"";
  }

  static std::optional<Ending> ending_within(const Instance& instance, Duration limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    for (;;) {
      if (auto ending = read_ending(instance)) return ending;
      if (std::chrono::steady_clock::now() >= until) return std::nullopt;
      std::this_thread::sleep_for(5ms);
    }
  }

  test::TempDir home_;
  Instances instances_{home_.path()};
};

TEST_F(Attend, AKilledQemuIsKnownSoon) {
  const Instance running = launch();
  wait_for(running, "KILN-BOOT-OK");
  EXPECT_FALSE(read_ending(running));
  ASSERT_TRUE(signal_process(running.process, SIGKILL));
  const auto ending = ending_within(running, 10s);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->exit.signal, SIGKILL);
  EXPECT_EQ(describe(*ending), "qemu was killed by signal 9 (Killed)");
  EXPECT_THAT(ending->serial, Contains(HasSubstr("KILN-BOOT-OK")));
  EXPECT_LE(ending->serial.size(), 40u);
  EXPECT_EQ(instances_.get(running.name).state, Instance::State::stopped);
}

TEST_F(Attend, AGuestThatShutsDownSaysSo) {
  const Instance running = launch("halt");
  ASSERT_TRUE(wait_gone(running.process, 120s));
  const auto ending = ending_within(running, 10s);
  ASSERT_TRUE(ending);
  EXPECT_TRUE(ending->exit.ok());
  EXPECT_EQ(ending->reason, "guest-shutdown");
  EXPECT_EQ(how_it_ended(running), "shut down by its guest");
}

TEST_F(Attend, AStopIsToldOfAsItReturns) {
  const Instance running = launch();
  EXPECT_EQ(instances_.stop(running.name, 100ms), Stopped::by_qemu);
  EXPECT_EQ(how_it_ended(running), "switched off");
  EXPECT_FALSE(identify(running.process.pid));
  EXPECT_TRUE(instances_.start(running.name, tcg));
  EXPECT_FALSE(read_ending(instances_.get(running.name))) << "that was the run before";
}

TEST_F(Attend, SignalsDoNotEndIt) {
  const Instance running = launch();
  const auto attendant = parent_of(running.process, attend_name);
  ASSERT_TRUE(attendant);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE}) signal_process(*attendant, signal);
  EXPECT_FALSE(wait_gone(*attendant, 200ms));
  ASSERT_TRUE(signal_process(running.process, SIGTERM));
  const auto ending = ending_within(running, 5s);
  ASSERT_TRUE(ending);
  EXPECT_EQ(describe(*ending), "qemu was told to end by a signal");
  EXPECT_TRUE(wait_gone(*attendant, 5s)) << "it stays no longer than it is needed";
}

TEST_F(Attend, WithoutItQemuGoesOn) {
  const Instance running = launch();
  const auto attendant = parent_of(running.process, attend_name);
  ASSERT_TRUE(attendant);
  ASSERT_TRUE(signal_process(*attendant, SIGKILL));
  ASSERT_TRUE(wait_gone(*attendant, 5s));
  wait_for(running, "KILN-BOOT-OK");
  EXPECT_EQ(instances_.get(running.name).state, Instance::State::running);
  EXPECT_EQ(instances_.stop(running.name, 100ms), Stopped::by_qemu);
  EXPECT_EQ(how_it_ended(running), "ended, nobody knows how");
}

TEST_F(Attend, AfterARestartOfTheHostItIsStopped) {
  Instance running = launch();
  ASSERT_TRUE(signal_process(running.process, SIGKILL));
  ASSERT_TRUE(ending_within(running, 10s));
  std::filesystem::remove(running.folder / "ended.json");  // the host took its attendant with it
  running.boot_id = "of an earlier boot";
  running.process = *identify(::getpid());  // the number is somebody else's now
  write_instance(running);
  const Instance stopped = instances_.get(running.name);
  EXPECT_EQ(stopped.state, Instance::State::stopped);
  EXPECT_EQ(how_it_ended(stopped), "ended with its host");
  EXPECT_TRUE(instances_.start(running.name, tcg));
}

TEST_F(Attend, HoldsNoLockAndNoOutputOfOurs) {
  const Instance running = launch();
  const auto attendant = parent_of(running.process, attend_name);
  ASSERT_TRUE(attendant);
  for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(attendant->pid) + "/fd")) {
    const std::string target = std::filesystem::read_symlink(fd.path()).string();
    EXPECT_THAT(target, testing::Not(HasSubstr(".lock")));
    EXPECT_FALSE(target.starts_with("pipe:")) << fd.path();
  }
}

TEST(Ending, WhatCannotBeReadIsNotKnown) {
  test::TempDir dir;
  Instance instance;
  instance.folder = dir.path();
  instance.process = {42, 1000};
  instance.boot_id = host_boot_id();
  EXPECT_EQ(how_it_ended(instance), "ended, nobody knows how");
  write_text(dir / "ended.json", "{\"pid\": \"evil\"}");
  EXPECT_EQ(how_it_ended(instance), "ended, nobody knows how");
  Ending ending;
  ending.process = {42, 999};
  ending.serial = {"\xff not UTF-8"};
  write_ending(dir.path(), ending);
  EXPECT_FALSE(read_ending(instance)) << "it is of an earlier process";
  ending.process = instance.process;
  ending.exit.status = 1;
  write_ending(dir.path(), ending);
  EXPECT_EQ(how_it_ended(instance), "qemu exited with status 1");
}

}  // namespace
}  // namespace kiln
