// What kiln reads in a domain's XML, and what it asks of libvirt in turn.
#include "libvirt/domain_view.h"

#include <gmock/gmock.h>

#include "libvirt/domain_backup.h"
#include "libvirt/domain_capture.h"
#include "support/run.h"
#include "support/temp.h"

#include <fstream>

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

DomainView view_with(const std::string& devices, const std::string& os = "<type>hvm</type>") {
  return view_of(
      "<domain type='kvm'><name>web</name><uuid>u-1</uuid><memory unit='KiB'>2097152</memory>"
      "<vcpu current='2'>4</vcpu><os>" +
      os + "</os><devices>" + devices + "</devices></domain>");
}

constexpr char chain[] =
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/p/top'/>"
    "<backingStore type='file'><format type='raw'/><source file='/p/base'/><backingStore/></backingStore>"
    "<target dev='vda' bus='virtio'/></disk>";

TEST(DomainView, NamesEveryLayerWithItsFormat) {
  const DomainView view = view_with(chain);
  EXPECT_EQ(view.name, "web");
  EXPECT_EQ(view.uuid, "u-1");
  EXPECT_EQ(view.facts.at("machine.memory"), std::to_string(2ull << 30));
  EXPECT_EQ(view.facts.at("machine.cpus"), "2");
  EXPECT_EQ(view.facts.at("machine.nic"), "none");
  EXPECT_EQ(view.facts.at("machine.disk_bus"), "virtio");
  EXPECT_EQ(view.facts.at("boot.firmware"), "bios");
  ASSERT_THAT(view.disks, SizeIs(1));
  ASSERT_THAT(view.disks[0].layers, SizeIs(2));
  EXPECT_EQ(view.disks[0].layers[0].file, "/p/top");
  EXPECT_EQ(view.disks[0].layers[0].format, "qcow2");
  EXPECT_EQ(view.disks[0].layers[1].file, "/p/base");
  EXPECT_EQ(view.disks[0].layers[1].format, "raw");
  EXPECT_FALSE(view.has_agent);
}

TEST(DomainView, LeavesOutWhatTheGuestCannotWriteTo) {
  const DomainView view = view_with(
      "<disk type='file' device='cdrom'><source file='/a.iso'/><target dev='sda' bus='sata'/></disk>"
      "<disk type='file' device='disk'><source file='/seed'/><target dev='vdb' bus='virtio'/><readonly/></disk>"
      "<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>"
      "<disk type='block' device='disk'><source dev='/dev/vg/data'/><target dev='sdb' bus='scsi'/></disk>"
      "<disk type='network' device='disk'><driver type='raw'/><source protocol='rbd' name='p/i'/>"
      "<target dev='hda' bus='ide'/></disk>");
  ASSERT_THAT(view.disks, SizeIs(2));
  EXPECT_THAT(view.untouched, testing::ElementsAre("sda", "vdb", "fda"));
  EXPECT_EQ(view.disks[0].layers[0].file, "/dev/vg/data");
  EXPECT_EQ(view.disks[0].format, "raw") << "what libvirt takes a disk for that names none";
  EXPECT_FALSE(view.disks[0].is_file);
  EXPECT_THAT(view.disks[1].layers, IsEmpty()) << "nothing that can be opened";
  EXPECT_EQ(view.disks[1].bus, "sata");
}

TEST(DomainView, KnowsTheFirmwareAndTheAgent) {
  const DomainView view = view_with(
      std::string(chain) + "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
      "<type>hvm</type><loader readonly='yes' secure='yes' type='pflash'>/code</loader><nvram>/vars.fd</nvram>");
  EXPECT_EQ(view.facts.at("boot.firmware"), "secure");
  EXPECT_EQ(view.vars, "/vars.fd");
  EXPECT_TRUE(view.has_agent);
  EXPECT_THAT(view_with(chain, "<nvram format='qcow2'>/vars.qcow2</nvram>").vars.string(), IsEmpty());
  EXPECT_EQ(view_with(chain, "<type>hvm</type><loader type='pflash'/>").facts.at("boot.firmware"), "uefi");
  EXPECT_THROW(view_of("<pool/>"), Error);
  EXPECT_THROW(view_of("nonsense"), Error);
}

BackupPlan plan() {
  return {.socket = "/run/k/nbd.sock",
          .checkpoint = "kiln-000002-ab",
          .disks = {{.target = "vda", .scratch = "/p/a", .since = "kiln-000001-cd", .noted = true},
                    {.target = "vdb", .scratch = "/p/b"}},
          .untouched = {"sda"}};
}

void expect_valid(const std::string& xml, const std::string& schema) {
  test::TempDir dir;
  std::ofstream(dir / "x.xml") << xml;
  const auto checked = test::run({"virt-xml-validate", (dir / "x.xml").string(), schema});
  EXPECT_EQ(checked.status, 0) << checked.output << xml;
}

TEST(DomainBackup, AsksForWhatTheSchemaKnows) {
  const std::string backup = backup_xml(plan()), checkpoint = checkpoint_xml(plan());
  EXPECT_THAT(backup, HasSubstr("incremental=\"kiln-000001-cd\" exportbitmap=\"backup-vda\""));
  EXPECT_THAT(backup, HasSubstr("name=\"sda\" backup=\"no\""));
  EXPECT_THAT(checkpoint, HasSubstr("name=\"vdb\" checkpoint=\"no\""));
  expect_valid(backup, "domainbackup");
  expect_valid(checkpoint, "domaincheckpoint");
  BackupPlan without = plan();
  without.disks[0].noted = false;
  EXPECT_THAT(checkpoint_xml(without), IsEmpty());
  without = plan();
  without.checkpoint.clear();
  EXPECT_THAT(checkpoint_xml(without), IsEmpty());
}

TEST(DomainCapture, KnowsWhosePathsAreThisHosts) {
  EXPECT_TRUE(is_this_host("qemu:///system"));
  EXPECT_TRUE(is_this_host("qemu+unix:///session?socket=/run/x"));
  EXPECT_FALSE(is_this_host("qemu+ssh://root@host/system"));
  EXPECT_FALSE(is_this_host("qemu+tls://host/system"));
}

}  // namespace
}  // namespace kiln
