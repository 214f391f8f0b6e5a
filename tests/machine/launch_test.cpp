#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <set>
#include <thread>

#include <kiln/file.h>
#include <kiln/hash.h>

#include <nlohmann/json.hpp>

#include "machine/instance_record.h"
#include "machine/instances.h"
#include "process/process.h"
#include "qmp/qmp.h"
#include "support/disk_size.h"
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

  static std::size_t count(const std::filesystem::path& log, const std::string& text) {
    const std::string all = read_text(log);
    std::size_t n = 0;
    for (std::size_t at = 0; (at = all.find(text, at)) != std::string::npos; ++at) ++n;
    return n;
  }

  test::TempDir home_;
  Instances instances_{home_.path()};
  LaunchBase base_{{test::tiny_image("stay"), "qcow2"},
                   "img-1",
                   "Tiny_Image:1",
                   "Tiny_Image",
                   test::disk_size(test::tiny_image("stay"))};
};

TEST_F(Launch, RunsListsTalksStopsAndGoesAway) {
  const std::string before = hash_file(base_.disk.file);
  const Launched launched = instances_.launch(base_, small(), tcg).front();
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

TEST_F(Launch, StartsAgainOnTheDiskThatItHas) {
  const Launched launched = instances_.launch(base_, small(), tcg).front();
  wait_for(launched.serial_log, "KILN-BOOT-OK");
  EXPECT_FALSE(instances_.start(launched.name, tcg)) << "it runs";
  ASSERT_EQ(::kill(static_cast<pid_t>(launched.pid), SIGKILL), 0);
  ASSERT_TRUE(wait_gone(instances_.get(launched.name).process, 5s));

  const Instance before = instances_.get(launched.name);
  EXPECT_TRUE(instances_.start(launched.name, tcg));
  const Instance again = instances_.get(launched.name);
  EXPECT_EQ(again.state, Instance::State::running);
  EXPECT_NE(again.process.pid, before.process.pid);
  EXPECT_EQ(again.created, before.created);
  // What it wrote before is kept.
  for (int i = 0; i < 6000 && count(launched.serial_log, "KILN-BOOT-OK") < 2; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(count(launched.serial_log, "KILN-BOOT-OK"), 2u);
  EXPECT_EQ(instances_.stop(launched.name, 200ms), Stopped::by_qemu);
}

TEST_F(Launch, AMachineThatNobodyRecordedEndsBeforeItsDiskIsUsedAgain) {
  const Launched launched = instances_.launch(base_, small(), tcg).front();
  Instance lost = instances_.get(launched.name);
  const ProcessId process = lost.process;
  lost.process = {1, 1};
  write_instance(lost);
  ASSERT_EQ(instances_.get(launched.name).state, Instance::State::stopped);
  EXPECT_TRUE(instances_.start(launched.name, tcg));
  EXPECT_TRUE(wait_gone(process, 5s));
  EXPECT_EQ(instances_.get(launched.name).state, Instance::State::running);
}

TEST_F(Launch, WhatCannotBeStartedAgainStaysAsItIs) {
  const Launched launched = instances_.launch(base_, small(), tcg).front();
  instances_.stop(launched.name, 100ms);
  Instance instance = instances_.get(launched.name);
  instance.base.file = home_ / "gone.qcow2";
  write_instance(instance);
  EXPECT_THAT([&] { instances_.start(launched.name, tcg); },
              testing::ThrowsMessage<Error>("instance \"Tiny-Image\" has lost the disk of its image"));
  instance.base = {};
  write_instance(instance);
  EXPECT_THAT([&] { instances_.start(launched.name, tcg); },
              testing::ThrowsMessage<Error>(HasSubstr("from a kiln that could not start one again")));
  instance.base = base_.disk;
  instance.mac = "no address";
  write_instance(instance);
  EXPECT_THAT([&] { instances_.start(launched.name, tcg); }, testing::ThrowsMessage<Error>("qemu did not start"));
  EXPECT_EQ(instances_.get(launched.name).state, Instance::State::stopped);
  instance.mac.clear();
  write_instance(instance);
  EXPECT_TRUE(instances_.start(launched.name, tcg));
}

TEST_F(Launch, ASecondOneGetsANameOfItsOwn) {
  EXPECT_EQ(instances_.launch(base_, small(), tcg).front().name, "Tiny-Image");
  EXPECT_EQ(instances_.launch(base_, small(), tcg).front().name, "Tiny-Image-2");
  EXPECT_EQ(instances_.instances_of("img-1").size(), 2u);
  instances_.remove("Tiny-Image-2", true);
  EXPECT_EQ(instances_.list().size(), 1u);
}

TEST_F(Launch, AKilledQemuIsStopped) {
  const Launched launched = instances_.launch(base_, small(), tcg).front();
  ASSERT_EQ(::kill(static_cast<pid_t>(launched.pid), SIGKILL), 0);
  EXPECT_TRUE(wait_gone(instances_.get(launched.name).process, 5s));
  EXPECT_EQ(instances_.get(launched.name).state, Instance::State::stopped);
}

TEST_F(Launch, AFrozenQemuIsKilled) {
  const Launched launched = instances_.launch(base_, small(), tcg).front();
  ASSERT_EQ(::kill(static_cast<pid_t>(launched.pid), SIGSTOP), 0);
  EXPECT_EQ(instances_.stop(launched.name, 100ms), Stopped::killed);
}

TEST_F(Launch, AQemuThatDoesNotStartLeavesNothing) {
  write_text(home_ / "base.qcow2", "no disk");
  base_.disk.file = home_ / "base.qcow2";
  LaunchSpec spec = small();
  spec.count = 3;
  try {
    instances_.launch(base_, spec, tcg);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "qemu did not start");
    EXPECT_THAT(e.evidence(), Contains(HasSubstr("Could not open backing file")));
  }
  EXPECT_TRUE(instances_.list().empty());
  EXPECT_FALSE(std::filesystem::exists(home_ / "instances/Tiny-Image"));
}

TEST_F(Launch, ManyAreEachThemselves) {
  LaunchSpec spec = small();
  spec.name = "t-##";
  spec.count = 3;
  spec.ports = {{0, 22}};
  std::filesystem::create_directories(home_ / "instances/.new/half");  // of a kiln that was killed
  std::vector<std::size_t> told;
  const auto launched =
      instances_.launch(base_, spec, tcg, {}, {.told = [&](std::size_t done, std::size_t) { told.push_back(done); }});
  EXPECT_THAT(told, testing::ElementsAre(1u, 2u, 3u));
  EXPECT_FALSE(std::filesystem::exists(home_ / "instances/.new"));
  std::set<std::string> names, uuids, macs, seeds;
  std::set<std::uint16_t> ports;
  for (const Instance& instance : instances_.list()) {
    EXPECT_EQ(instance.state, Instance::State::running);
    names.insert(instance.name);
    uuids.insert(instance.uuid);
    macs.insert(instance.mac);
    seeds.insert(hash_file(instance.folder / "seed.iso"));
    ports.insert(instance.ports.at(0).host);
  }
  EXPECT_THAT(names, testing::ElementsAre("t-01", "t-02", "t-03"));
  EXPECT_EQ(uuids.size(), 3u);
  EXPECT_EQ(macs.size(), 3u);
  EXPECT_EQ(seeds.size(), 3u);
  EXPECT_EQ(ports.size(), 3u);
  EXPECT_EQ(launched[1].ports.at(0).guest, 22);
}

TEST_F(Launch, ATokenMakesALaunchTheSameLaunch) {
  LaunchSpec spec = small();
  spec.token = "order-4711";
  spec.count = 2;
  spec.stopped = true;
  const auto first = instances_.launch(base_, spec, tcg);
  EXPECT_EQ(first[0].pid, 0);
  EXPECT_EQ(instances_.get(first[0].name).state, Instance::State::stopped);
  const auto again = instances_.launch(base_, spec, tcg);
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].name, first[0].name);
  EXPECT_TRUE(again[1].was_there);
  EXPECT_EQ(instances_.list().size(), 2u);
  instances_.remove(first[0].name);
  const auto mended = instances_.launch(base_, spec, tcg);
  EXPECT_TRUE(mended[0].was_there);
  EXPECT_FALSE(mended[1].was_there);
  LaunchBase other = base_;
  other.image_id = "img-2";
  EXPECT_THROW(instances_.launch(other, spec, tcg), Error);
  EXPECT_EQ(instances_.list().size(), 2u);
  spec.count = 1;
  EXPECT_EQ(instances_.launch(base_, spec, tcg).size(), 1u) << "and no more than asked for";
}

TEST_F(Launch, ATokenHoldsThoughTheReferenceMeansANewerImage) {
  LaunchSpec spec = small();
  spec.token = "order-4711";
  spec.stopped = true;
  base_.reference = "tiny:stable";
  const auto first = instances_.launch(base_, spec, tcg);
  base_.image_id = "img-2";
  const auto again = instances_.launch(base_, spec, tcg);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].name, first[0].name);
  EXPECT_TRUE(again[0].was_there);
  EXPECT_EQ(instances_.get(first[0].name).image_id, "img-1");
  base_.reference = "tiny:edge";
  EXPECT_THROW(instances_.launch(base_, spec, tcg), Error);
}

TEST_F(Launch, ATokenStartsWhatAKilledKilnHadMadeOnly) {
  LaunchSpec spec = small();
  spec.token = "order-4711";
  spec.name = "t-#";
  spec.count = 2;
  spec.stopped = true;
  instances_.launch(base_, spec, tcg);
  ASSERT_TRUE(instances_.start("t-1", tcg));
  EXPECT_EQ(instances_.stop("t-1", 100ms), Stopped::by_qemu);  // somebody wanted it so
  spec.stopped = false;
  spec.count = 3;
  const auto launched = instances_.launch(base_, spec, tcg);
  ASSERT_EQ(launched.size(), 3u);
  EXPECT_EQ(launched[0].pid, 0);
  EXPECT_GT(launched[1].pid, 0);
  EXPECT_TRUE(launched[1].was_there);
  EXPECT_GT(launched[2].pid, 0);
  EXPECT_EQ(instances_.get("t-1").state, Instance::State::stopped);
  EXPECT_EQ(instances_.get("t-2").process.pid, launched[1].pid);
  EXPECT_EQ(instances_.get("t-3").state, Instance::State::running);
}

TEST_F(Launch, WhatATokenCannotStartIsTriedAgain) {
  LaunchSpec spec = small();
  spec.token = "order-4711";
  spec.stopped = true;
  const std::string name = instances_.launch(base_, spec, tcg).front().name;
  Instance instance = instances_.get(name);
  const std::string mac = std::exchange(instance.mac, "no address");
  write_instance(instance);
  spec.stopped = false;
  EXPECT_THAT([&] { instances_.launch(base_, spec, tcg); }, testing::ThrowsMessage<Error>("qemu did not start"));
  instance.mac = mac;
  write_instance(instance);
  EXPECT_EQ(instances_.launch(base_, spec, tcg).front().name, name);
  EXPECT_EQ(instances_.get(name).state, Instance::State::running);
}

TEST_F(Launch, WhatIsMadeStoppedStartsLater) {
  LaunchSpec spec = small();
  spec.stopped = true;
  spec.disk_size = base_.size + (1u << 20);
  const Launched made = instances_.launch(base_, spec, tcg).front();
  EXPECT_TRUE(instances_.has_room_for(made.name));
  EXPECT_TRUE(instances_.start(made.name, tcg));
  wait_for(made.serial_log, "KILN-BOOT-OK");
  const std::string info = run_checked(
      {"qemu-img", {"info", "-U", "--output=json", (home_ / "instances" / made.name / "disk.qcow2").string()}});
  EXPECT_THAT(info, HasSubstr("\"virtual-size\": " + std::to_string(spec.disk_size)));
}

TEST_F(Launch, EveryDiskBusBoots) {
  for (const char* bus : {"scsi", "sata", "nvme"}) {
    LaunchSpec spec = small();
    spec.disk_bus = bus;
    spec.nic = "e1000";
    spec.name = bus;
    wait_for(instances_.launch(base_, spec, tcg).front().serial_log, "KILN-BOOT-OK");
    instances_.remove(bus, true);
  }
}

TEST_F(Launch, EveryDiskBusTakesAsManyDataDisksAsItIsSaidTo) {
  for (const auto& [bus, most] : {std::pair("virtio", 16u), std::pair("sata", 4u), std::pair("nvme", 16u)}) {
    LaunchSpec spec = small();
    spec.disk_bus = bus;
    spec.name = bus;
    LaunchBase base = base_;
    base.data.assign(most, {base_.disk, base_.size});
    const Launched launched = instances_.launch(base, spec, tcg).front();
    EXPECT_EQ(instances_.get(bus).data.size(), most);
    Qmp qmp = Qmp::connect(home_ / "instances" / bus / "qmp.sock", 5s);
    EXPECT_EQ(qmp.execute("query-block").size(), most + 2) << bus << ": the system disk, and the seed";
    wait_for(launched.serial_log, "KILN-BOOT-OK");
    instances_.remove(bus, true);
    base.data.push_back(base.data.front());
    EXPECT_THROW(instances_.launch(base, spec, tcg), Error) << bus;
  }
  EXPECT_TRUE(instances_.list().empty());
}

TEST_F(Launch, SecureBootRefusesWhatNobodySignedAndHasATpm) {
  LaunchSpec spec = small();
  spec.firmware = "secure";
  spec.memory = Bytes{256u << 20};
  const Launched launched = instances_.launch(base_, spec, tcg).front();
  Qmp qmp = Qmp::connect(home_ / "instances" / launched.name / "qmp.sock", 5s);
  EXPECT_EQ(qmp.execute("query-tpm").size(), 1u);
  wait_for(launched.serial_log, "Access Denied");
  EXPECT_EQ(read_text(launched.serial_log).find("KILN-BOOT-OK"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(home_ / "instances" / launched.name / "tpm.sock"));
  instances_.remove(launched.name, true);
  // Its TPM goes with it: tests/run looks for processes that are left.
}

TEST_F(Launch, WorksInADeepHome) {
  std::filesystem::path deep = home_.path();
  for (int i = 0; i < 3; ++i) deep /= std::string(60, 'd');
  const Instances instances(deep);
  const Launched launched = instances.launch(base_, small(), tcg).front();
  EXPECT_EQ(instances.stop(launched.name, 100ms), Stopped::by_qemu);
}

}  // namespace
}  // namespace kiln
