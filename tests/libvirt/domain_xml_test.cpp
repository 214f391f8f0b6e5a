#include "libvirt/domain_xml.h"

#include <gtest/gtest.h>

#include <pugixml.hpp>

namespace kiln {
namespace {

DomainSpec web() {
  DomainSpec spec;
  spec.name = "kiln-web";
  spec.uuid = "8a2b3c4d-0000-4000-8000-000000000001";
  spec.accelerator = "tcg";
  spec.hardware.memory = Bytes{(256u << 20) + 1};
  spec.hardware.cpus = 3;
  spec.disk = "/pool/o.qcow2";
  spec.base = "/pool/a & b.raw";
  spec.base_format = "raw";
  spec.seed = "/pool/s.iso";
  spec.serial_log = "/pool/l.log";
  spec.origin = {"web", "web:<1>", "img-1", "host:/home \"x\"", "alice"};
  return spec;
}

pugi::xml_document parse(const std::string& text) {
  pugi::xml_document document;
  EXPECT_TRUE(document.load_string(text.c_str())) << text;
  return document;
}

std::string at(const pugi::xml_document& document, const char* path) {
  const auto found = document.select_node(path);
  if (found.attribute()) return found.attribute().value();
  return found ? found.node().child_value() : "(none)";
}

TEST(DomainXml, HasTheDiskBusAndTheNetworkCardThatWereChosen) {
  EXPECT_EQ(at(parse(domain_xml(web())), "/domain/devices/disk[1]/target/@bus"), "virtio");
  EXPECT_EQ(at(parse(domain_xml(web())), "/domain/devices/interface/model/@type"), "virtio");
  DomainSpec other = web();
  other.hardware.disk_bus = DiskBus::scsi;
  other.hardware.nic = Nic::e1000e;
  other.mac = "52:54:00:01:02:03";
  const auto document = parse(domain_xml(other));
  EXPECT_EQ(at(document, "/domain/devices/disk[1]/target/@bus"), "scsi");
  EXPECT_EQ(at(document, "/domain/devices/disk[1]/target/@dev"), "sda");
  EXPECT_EQ(at(document, "/domain/devices/controller[@type='scsi']/@model"), "virtio-scsi");
  EXPECT_EQ(at(document, "/domain/devices/interface/model/@type"), "e1000e");
  EXPECT_EQ(at(document, "/domain/devices/interface/mac/@address"), "52:54:00:01:02:03");
  other.hardware.nic = Nic::none;
  EXPECT_EQ(at(parse(domain_xml(other)), "/domain/devices/interface"), "(none)");
}

TEST(DomainXml, TakesTheAcceleratorThatWasFound) {
  EXPECT_EQ(at(parse(domain_xml(web())), "/domain/@type"), "qemu");
  DomainSpec kvm = web();
  kvm.accelerator = "kvm";
  EXPECT_EQ(at(parse(domain_xml(kvm)), "/domain/@type"), "kvm");
  EXPECT_EQ(at(parse(domain_xml(kvm)), "/domain/cpu/@mode"), "host-passthrough");
}

TEST(DomainXml, EveryLayerOfADiskNamesItsFormatAndTheChainEnds) {
  const auto document = parse(domain_xml(web()));
  const auto disks = document.select_nodes("/domain/devices/disk");
  ASSERT_EQ(disks.size(), 2U);
  for (const auto& disk : disks) {
    EXPECT_TRUE(disk.node().child("driver").attribute("type"));
    pugi::xml_node layer = disk.node().child("backingStore");
    ASSERT_TRUE(layer);
    for (; layer.first_child(); layer = layer.child("backingStore")) {
      EXPECT_TRUE(layer.child("format").attribute("type"));
      ASSERT_TRUE(layer.child("backingStore"));
    }
  }
  EXPECT_EQ(at(document, "/domain/devices/disk[1]/driver/@type"), "qcow2");
  EXPECT_EQ(at(document, "/domain/devices/disk[1]/backingStore/source/@file"), "/pool/a & b.raw");
  EXPECT_EQ(at(document, "/domain/devices/disk[1]/backingStore/format/@type"), "raw");
  EXPECT_EQ(at(document, "/domain/devices/disk[2]/driver/@type"), "raw");
  EXPECT_TRUE(document.select_node("/domain/devices/disk[2]/readonly"));
}

TEST(DomainXml, SaysWhereItCameFromWhateverThatIsCalled) {
  const auto document = parse(domain_xml(web()));
  const pugi::xml_node note = document.select_node("/domain/metadata/*").node();
  EXPECT_EQ(note.attribute("xmlns:kiln").as_string(), std::string("urn:kiln:instance:1"));
  EXPECT_EQ(note.child_value("kiln:name"), std::string("web"));
  EXPECT_EQ(note.child_value("kiln:image"), std::string("web:<1>"));
  EXPECT_EQ(note.child("kiln:image").attribute("id").as_string(), std::string("img-1"));
  EXPECT_EQ(note.child_value("kiln:home"), std::string("host:/home \"x\""));
  EXPECT_EQ(note.child_value("kiln:account"), std::string("alice"));
}

TEST(DomainXml, HasWhatAMachineOfKilnHas) {
  const auto document = parse(domain_xml(web()));
  EXPECT_EQ(at(document, "/domain/memory"), "257");
  EXPECT_EQ(at(document, "/domain/memory/@unit"), "MiB");
  EXPECT_EQ(at(document, "/domain/vcpu"), "3");
  EXPECT_EQ(at(document, "/domain/on_poweroff"), "destroy");
  EXPECT_EQ(at(document, "/domain/devices/serial/log/@file"), "/pool/l.log");
  EXPECT_EQ(at(document, "/domain/devices/serial/log/@append"), "on");
  EXPECT_EQ(at(document, "/domain/devices/channel/target/@name"), "org.qemu.guest_agent.0");
  EXPECT_EQ(at(document, "/domain/devices/interface/@type"), "user");
  EXPECT_EQ(at(document, "/domain/os/bios/@useserial"), "yes");
  EXPECT_EQ(at(document, "/domain/os/@firmware"), "(none)");
  DomainSpec uefi = web();
  uefi.hardware.firmware = Firmware::uefi;
  const auto other = parse(domain_xml(uefi));
  EXPECT_EQ(at(other, "/domain/os/@firmware"), "efi");
  EXPECT_EQ(at(other, "/domain/os/bios/@useserial"), "(none)");
}

TEST(VolumeXml, AnOverlayNamesTheFormatOfWhatItLiesOn) {
  const auto overlay = parse(
      volume_xml({.name = "o.qcow2", .format = "qcow2", .capacity = 4096, .base = "/pool/b", .base_format = "raw"}));
  EXPECT_EQ(at(overlay, "/volume/capacity"), "4096");
  EXPECT_EQ(at(overlay, "/volume/target/format/@type"), "qcow2");
  EXPECT_EQ(at(overlay, "/volume/backingStore/path"), "/pool/b");
  EXPECT_EQ(at(overlay, "/volume/backingStore/format/@type"), "raw");
  const auto raw = parse(volume_xml({.name = "r", .format = "raw", .capacity = 1}));
  EXPECT_FALSE(raw.select_node("/volume/backingStore"));
  EXPECT_EQ(at(raw, "/volume/allocation"), "0");
}

}  // namespace
}  // namespace kiln
