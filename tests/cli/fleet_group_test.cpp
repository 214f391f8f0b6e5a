#include "cli/fleet_group.h"

#include <gmock/gmock.h>

#include <kiln/error.h>

namespace kiln::cli {
namespace {

using engine::FleetGroup;
using testing::HasSubstr;

/// What a group is launched as, with kiln's own defaults where it says nothing.
Instance made_of(const FleetGroup& group, std::int64_t place = 0) {
  const LaunchSpec spec = at_place(spec_of(group, "shop"), place);
  Instance instance;
  instance.hardware = hardware_for(spec, {});
  instance.disk_size = spec.disk_size;
  instance.ports = spec.ports;
  for (PortForward& port : instance.ports)
    if (port.host == 0) port.host = 20000;
  instance.driver = spec.driver;
  instance.connect = spec.connect;
  return instance;
}

std::string difference_of(const FleetGroup& was, const FleetGroup& is) {
  return difference(made_of(was), is, spec_of(is, "shop"));
}

TEST(FleetGroup, WhatItDoesNotSayIsNotCompared) {
  FleetGroup all{.name = "web", .image = "web"};
  all.cpus = 3;
  all.memory = "2G";
  all.disk_size = "1T";
  all.disk_bus = "nvme";
  all.nic = "e1000";
  all.network = "tap=t";
  all.firmware = "secure";
  EXPECT_EQ(difference_of(all, all), "");
  EXPECT_EQ(difference_of(all, {.name = "web", .image = "web"}), "");
}

TEST(FleetGroup, EveryThingThatItSaysIsCompared) {
  const FleetGroup plain{.name = "web", .image = "web"};
  const auto changed = [&](auto change) {
    FleetGroup group = plain;
    change(group);
    return difference_of(plain, group);
  };
  EXPECT_EQ(changed([](FleetGroup& g) { g.memory = "2G"; }), "memory is 1.0 GiB, not 2.0 GiB");
  EXPECT_EQ(changed([](FleetGroup& g) { g.memory = "1073741825"; }), "memory is 1073741824 B, not 1073741825 B");
  EXPECT_EQ(changed([](FleetGroup& g) { g.cpus = 3; }), "cpus is 2, not 3");
  EXPECT_EQ(changed([](FleetGroup& g) { g.disk_bus = "scsi"; }), "disk_bus is virtio, not scsi");
  EXPECT_EQ(changed([](FleetGroup& g) { g.nic = "e1000"; }), "nic is virtio, not e1000");
  EXPECT_EQ(changed([](FleetGroup& g) { g.network = "tap=t"; }), "network is user, not tap=t");
  EXPECT_EQ(changed([](FleetGroup& g) { g.firmware = "uefi"; }), "firmware is bios, not uefi");
  EXPECT_EQ(changed([](FleetGroup& g) { g.ports = {"auto:80"}; }), "the guest's ports are none, not 80");
  EXPECT_EQ(changed([](FleetGroup& g) { g.driver = "libvirt"; }), "driver is qemu, not libvirt");
  FleetGroup there = plain, elsewhere = plain;
  there.connect = "qemu+ssh://a/system";
  elsewhere.connect = "qemu+ssh://b/system";
  EXPECT_EQ(difference_of(there, elsewhere), "connect is qemu+ssh://a/system, not qemu+ssh://b/system");
  elsewhere.connect = "myhost";  // a name that libvirt's configuration explains
  EXPECT_EQ(difference_of(there, elsewhere), "");
  FleetGroup small = plain, large = plain;
  small.disk_size = "1G";
  large.disk_size = "2G";
  EXPECT_EQ(difference_of(small, large), "disk_size is 1.0 GiB, not 2.0 GiB");
}

TEST(FleetGroup, PortsThatAreGivenAreAPlace) {
  FleetGroup group{.name = "web", .image = "web", .count = 3};
  group.ports = {"8080:80", "9080:443", "auto:22"};
  const LaunchSpec spec = spec_of(group, "shop");
  EXPECT_TRUE(gives_ports(spec));
  for (std::int64_t place : {0, 1, 2}) {
    EXPECT_EQ(place_of(made_of(group, place), group, spec), place);
    EXPECT_EQ(difference(made_of(group, place), group, spec), "");
  }
  Instance other = made_of(group, 3);
  EXPECT_EQ(place_of(other, group, spec), std::nullopt) << "beyond the group";
  EXPECT_EQ(difference(other, group, spec), "the host's ports are not those of the file");
  other.ports = {{8080, 80}, {9081, 443}, {20000, 22}};
  EXPECT_EQ(place_of(other, group, spec), std::nullopt) << "two places at once";
  other.ports.pop_back();
  EXPECT_EQ(difference(other, group, spec), "the guest's ports are 80, 443, not 22, 80, 443");

  group.ports = {"auto:22"};
  EXPECT_FALSE(gives_ports(spec_of(group, "shop")));
  EXPECT_EQ(place_of(made_of(group), group, spec_of(group, "shop")), std::nullopt);
  group.ports = {"65535:22"};
  EXPECT_THROW(at_place(spec_of(group, "shop"), 1), Error);
}

}  // namespace
}  // namespace kiln::cli
