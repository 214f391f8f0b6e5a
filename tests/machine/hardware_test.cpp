#include "machine/hardware.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

TEST(Hardware, WhatIsNotSaidIsAsTheImageSays) {
  const Facts facts{{"machine.memory", "536870912"},
                    {"machine.cpus", "3"},
                    {"machine.disk_bus", "nvme"},
                    {"machine.nic", "e1000"},
                    {"boot.firmware", "uefi"}};
  const Hardware from_image = hardware_for({}, facts);
  EXPECT_EQ(from_image.memory, Bytes{512u << 20});
  EXPECT_EQ(from_image.cpus, 3u);
  EXPECT_EQ(from_image.disk_bus, DiskBus::nvme);
  EXPECT_EQ(from_image.nic, Nic::e1000);
  EXPECT_EQ(from_image.firmware, Firmware::uefi);
  LaunchSpec spec;
  spec.memory = Bytes{64u << 20};
  spec.cpus = 1;
  spec.disk_bus = "sata";
  spec.nic = "none";
  spec.firmware = "bios";
  spec.network = "tap=t0";
  const Hardware said = hardware_for(spec, facts);
  EXPECT_EQ(said.memory, Bytes{64u << 20});
  EXPECT_EQ(said.cpus, 1u);
  EXPECT_EQ(said.disk_bus, DiskBus::sata);
  EXPECT_EQ(said.nic, Nic::none);
  EXPECT_EQ(said.firmware, Firmware::bios);
  EXPECT_EQ(network_text(said), "tap=t0");
}

TEST(Hardware, FactsThatMakeNoSenseArePassedOver) {
  const Hardware hardware = hardware_for({}, {{"machine.memory", "1e99"},
                                              {"machine.cpus", "-1"},
                                              {"machine.disk_bus", "virtio,evil=on"},
                                              {"machine.nic", ""},
                                              {"boot.firmware", "bios,uefi"}});
  EXPECT_EQ(hardware.memory, Bytes{1u << 30});
  EXPECT_EQ(hardware.cpus, 2u);
  EXPECT_EQ(hardware.disk_bus, DiskBus::virtio);
  EXPECT_EQ(hardware.nic, Nic::virtio);
  EXPECT_EQ(hardware.firmware, Firmware::bios);
}

TEST(Hardware, WhatIsTooLittleOrTooMuchIsRefused) {
  LaunchSpec spec;
  spec.memory = Bytes{1u << 20};
  EXPECT_THROW(hardware_for(spec, {}), Error);
  spec.memory = Bytes{0};
  spec.cpus = 256;
  EXPECT_THROW(hardware_for(spec, {}), Error);
}

TEST(Hardware, ABusHasRoomForSoManyDisks) {
  EXPECT_NO_THROW(require_bus_for(DiskBus::sata, 4));
  EXPECT_THROW(require_bus_for(DiskBus::sata, 5), Error);
  EXPECT_NO_THROW(require_bus_for(DiskBus::virtio, 16));
  EXPECT_THROW(require_bus_for(DiskBus::nvme, 17), Error);
  EXPECT_NO_THROW(require_bus_for(DiskBus::scsi, 63));
}

}  // namespace
}  // namespace kiln
