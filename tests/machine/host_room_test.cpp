#include "machine/host_room.h"

#include <gmock/gmock.h>
#include <unistd.h>

namespace kiln {
namespace {

using testing::HasSubstr;

Hardware machine(std::uint64_t mib, unsigned cpus) {
  Hardware hardware;
  hardware.memory = Bytes{mib << 20};
  hardware.cpus = cpus;
  return hardware;
}

TEST(HostRoom, WhatRunsWasPromisedItsMemory) {
  const HostRoom empty = room_of_host({});
  EXPECT_GT(empty.memory, 64u << 20);
  EXPECT_GE(empty.processors, 1u);
  Instance running;
  running.state = Instance::State::running;
  running.process = *identify(::getpid());
  running.hardware = machine(empty.memory >> 21, 3);  // half of it
  const HostRoom left = room_of_host({running});
  EXPECT_LT(left.memory, empty.memory * 3 / 4);
  EXPECT_EQ(left.cpus_running, 3u);
  running.state = Instance::State::stopped;
  EXPECT_EQ(room_of_host({running}).cpus_running, 0u);
}

TEST(HostRoom, LacksAreSaidWithTheirFigures) {
  const HostRoom room{1u << 30, 2, 30};
  EXPECT_FALSE(lack_of_room(room, machine(100, 1), 2));
  EXPECT_EQ(lack_of_room(room, machine(512, 1), 2),
            "2 machines of 512.0 MiB need 1.1 GiB of memory, and this host has 1.0 GiB left");
  EXPECT_EQ(lack_of_room(room, machine(100, 3), 1),
            "1 machine has 3 cpus, and 30 cpus of other instances run already: more than the 32 that the 2 processors "
            "of this host can serve");
  try {
    require_room(room, machine(2048, 1), 1, "do this");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("1 machine of 2.0 GiB needs 2.1 GiB"));
    EXPECT_EQ(e.hint(), "do this");
  }
}

TEST(HostRoom, OfAnIdleHostIsWhatWouldBeThereWithoutThem) {
  Instance running;
  running.state = Instance::State::running;
  running.process = *identify(::getpid());
  running.hardware = machine(1u << 30, 200);
  const HostRoom now = room_of_host({running}), idle = room_when_idle({running});
  EXPECT_EQ(now.memory, 0u);
  EXPECT_EQ(now.cpus_running, 200u);
  EXPECT_GT(idle.memory, 64u << 20);
  EXPECT_EQ(idle.cpus_running, 0u);
}

}  // namespace
}  // namespace kiln
