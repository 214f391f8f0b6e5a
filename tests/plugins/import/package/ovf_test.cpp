// OVF descriptors: what each vendor's say of the machine, and what no descriptor may be.
#include <gmock/gmock.h>

#include "plugins/import/import_run.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using test::filled;
using test::ImportRun;
using test::sample;
using testing::HasSubstr;

const std::string capacity = std::to_string(test::SampleDisk::size);

/// As VirtualBox writes it: everything below a prefix of its own, and its settings beside the standard's.
constexpr const char* virtualbox_ovf = R"(<?xml version="1.0"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:vbox="http://www.virtualbox.org/ovf/machine"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References>
    <File ovf:id="file1" ovf:href="disk001.vhd"/>
    <File ovf:id="file2" ovf:href="disk002.vhd"/>
  </References>
  <DiskSection><Info>List of the virtual disks used in the package</Info>
    <Disk ovf:capacity="${CAPACITY}" ovf:diskId="vmdisk1" ovf:fileRef="file1"
      ovf:format="http://go.microsoft.com/fwlink/?LinkId=137171" vbox:uuid="1"/>
    <Disk ovf:capacity="${CAPACITY}" ovf:diskId="vmdisk2" ovf:fileRef="file2"
      ovf:format="http://go.microsoft.com/fwlink/?LinkId=137171" vbox:uuid="2"/>
  </DiskSection>
  <VirtualSystem ovf:id="debian">
    <OperatingSystemSection ovf:id="96"><Info>The kind</Info><Description>Debian_64</Description>
      <vbox:OSType ovf:required="false">Debian_64</vbox:OSType></OperatingSystemSection>
    <VirtualHardwareSection>
      <Item><rasd:Caption>2 virtual CPU</rasd:Caption><rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>1024</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>AHCI</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>
      <Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:HostResource>/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>/disk/vmdisk2</rasd:HostResource>
        <rasd:InstanceID>6</rasd:InstanceID><rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:AutomaticAllocation>true</rasd:AutomaticAllocation><rasd:InstanceID>7</rasd:InstanceID>
        <rasd:ResourceSubType>virtio</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
    </VirtualHardwareSection>
    <vbox:Machine ovf:required="false" version="1.19-linux" name="debian">
      <Hardware><CPU count="2"/><Firmware type="EFI"/></Hardware>
    </vbox:Machine>
  </VirtualSystem>
</Envelope>
)";

/// As oVirt writes it: sections by their type, files that are named by ids, sizes in GiB and of files rounded.
constexpr const char* ovirt_ovf = R"(<?xml version='1.0' encoding='utf-8'?>
<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:ovirt="http://www.ovirt.org/ovf"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ovf:version="4.4.0.0">
  <References>
    <File ovf:href="1f3d" ovf:id="1f3d" ovf:size="999" ovf:description="Active VM"></File>
    <File ovf:href="77aa" ovf:id="77aa" ovf:size="999" ovf:description="Active VM"></File>
  </References>
  <Section xsi:type="ovf:DiskSection_Type"><Info>List of Virtual Disks</Info>
    <Disk ovf:diskId="77aa" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^30" ovf:parentRef=""
      ovf:fileRef="77aa" ovf:format="http://www.vmware.com/specifications/vmdk.html#sparse"
      ovf:volume-format="RAW" ovf:boot="false"></Disk>
    <Disk ovf:diskId="1f3d" ovf:size="1" ovf:actual_size="1" ovf:parentRef="" ovf:fileRef="1f3d"
      ovf:format="http://en.wikipedia.org/wiki/Byte" ovf:volume-format="COW" ovf:boot="true"></Disk>
  </Section>
  <Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type">
    <Name>db</Name><BiosType>${BIOS}</BiosType>
    <Section ovf:id="1" ovf:required="false" xsi:type="ovf:OperatingSystemSection_Type">
      <Info>Guest Operating System</Info><Description>debian_9</Description></Section>
    <Section xsi:type="ovf:VirtualHardwareSection_Type"><Info>8 CPU, 512 Memory</Info>
      <Item><rasd:InstanceId>1</rasd:InstanceId><rasd:ResourceType>3</rasd:ResourceType>
        <rasd:num_of_sockets>2</rasd:num_of_sockets><rasd:cpu_per_socket>4</rasd:cpu_per_socket>
        <rasd:threads_per_cpu>1</rasd:threads_per_cpu></Item>
      <Item><rasd:InstanceId>2</rasd:InstanceId><rasd:ResourceType>4</rasd:ResourceType>
        <rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>
        <rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceId>77aa</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:HostResource>group2/77aa</rasd:HostResource>
        <rasd:Parent>00000000-0000-0000-0000-000000000000</rasd:Parent></Item>
      <Item><rasd:InstanceId>1f3d</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:HostResource>group1/1f3d</rasd:HostResource>
        <rasd:Parent>00000000-0000-0000-0000-000000000000</rasd:Parent></Item>
      <Item><rasd:InstanceId>9</rasd:InstanceId><rasd:ResourceType>10</rasd:ResourceType>
        <rasd:ResourceSubType>3</rasd:ResourceSubType></Item>
    </Section>
  </Content>
</ovf:Envelope>
)";

class ImportOvf : public testing::Test {
 protected:
  fs::path write(const std::vector<test::TarMember>& members) {
    const fs::path path = dir / "web.ova";
    const std::string bytes = test::tar_of(members);
    fs::remove(path);
    File::create(path).write_at(0, std::as_bytes(std::span(bytes)));
    return path;
  }
  fs::path with(const std::string& ovf) { return write({{"web.ovf", ovf}, {"disk1.qcow2", sample(1).qcow2}}); }
  Facts facts(const std::string& ovf) {
    ImportRun import;
    import.run(with(ovf));
    findings = import.ctx.findings;
    return import.ctx.known_facts;
  }
  Error refusal(const std::string& ovf) { return ImportRun().refusal(with(ovf)); }
  /// An OVF of VMware's with one disk.
  static std::string plain(std::map<std::string, std::string> more = {}) {
    return test::ovf_of({{"disk1.qcow2", "d1", capacity, ""}}, std::move(more));
  }
  static std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
  }

  const test::TempDir dir;
  std::vector<Finding> findings;
};

TEST_F(ImportOvf, OfVirtualBox) {
  ImportRun import;
  import.run(write({{"debian.ovf", filled(virtualbox_ovf,
                                          {{ "CAPACITY",
                                             capacity }})},
                    {"disk001.vhd", sample(1).vhd},
                    { "disk002.vhd",
                      sample(2).vhd }}));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(2).raw));  // it is on the first port
  ASSERT_EQ(import.ctx.known_parts.size(), 1U);
  EXPECT_EQ(import.ctx.known_parts[0].disk->content(), test::part_content(sample(1).raw));
  const Facts& facts = import.ctx.known_facts;
  EXPECT_EQ(facts.at("machine.cpus"), "2");
  EXPECT_EQ(facts.at("machine.memory"), "1073741824");
  EXPECT_EQ(facts.at("machine.nic"), "virtio");
  EXPECT_EQ(facts.at("machine.disk_bus"), "sata");
  EXPECT_EQ(facts.at("boot.firmware"), "uefi");
  EXPECT_EQ(facts.at("origin.name"), "debian");
  EXPECT_EQ(facts.at("origin.os"), "Debian_64");
}

TEST_F(ImportOvf, OfOVirt) {
  for (const auto& [bios, firmware] :
       std::map<std::string, std::string>{{"1", "bios"}, {"3", "uefi"}, {"4", "secure"}}) {
    ImportRun import;
    import.run(write({{"vm.ovf", filled(ovirt_ovf,
                                        {{ "BIOS",
                                           bios }})},
                      {"77aa", test::bytes_of(sample(2).raw)},
                      { "1f3d",
                        sample(1).qcow2 }}));
    EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));  // the one that is said to boot
    ASSERT_EQ(import.ctx.known_parts.size(), 1U);
    EXPECT_EQ(import.ctx.known_parts[0].disk->content(), test::part_content(sample(2).raw));
    const Facts& facts = import.ctx.known_facts;
    EXPECT_EQ(facts.at("machine.cpus"), "8");
    EXPECT_EQ(facts.at("machine.memory"), "536870912");
    EXPECT_EQ(facts.at("machine.nic"), "virtio");
    EXPECT_EQ(facts.at("boot.firmware"), firmware);
    EXPECT_EQ(facts.at("origin.name"), "db");
    EXPECT_EQ(import.ctx.findings.size(), 3U);  // two sizes that are rounded, and no manifest
  }
}

TEST_F(ImportOvf, SaysWhatFirmwareStartsIt) {
  const std::string efi = R"(<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>)";
  const std::string secure =
      R"(<vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="true"/>)";
  EXPECT_EQ(facts(plain({{"CONFIG", efi}})).at("boot.firmware"), "uefi");
  EXPECT_EQ(facts(plain({{"CONFIG", efi + secure}})).at("boot.firmware"), "secure");
  // Nobody says: the disk's partition table and boot code do.
  EXPECT_EQ(facts(plain()).at("boot.firmware"), "bios");
}

TEST_F(ImportOvf, ReadsUnits) {
  const auto memory = [&](const std::string& units, const std::string& quantity) {
    std::string text = replaced(plain(), "byte * 2^20", units);
    const Facts all = facts(replaced(text, ">2048<", ">" + quantity + "<"));
    return all.contains("machine.memory") ? all.at("machine.memory") : "";
  };
  EXPECT_EQ(memory("byte * 2^30", "2"), "2147483648");
  EXPECT_EQ(memory("bytes*2^20", "1"), "1048576");
  EXPECT_EQ(memory("byte * 1024 * 1024", "3"), "3145728");
  EXPECT_EQ(memory("byte * 10^6", "3"), "3000000");
  EXPECT_EQ(memory("GigaBytes", "1"), "1073741824");
  EXPECT_EQ(memory("KB", "1024"), "1048576");
  for (const auto& [units, quantity] : {std::pair("byte * 2^64", "1"),
                                        {"byte * 2^63", "16"},
                                        {"furlongs", "1"},
                                        {"byte * 0", "1"},
                                        {"byte * 2^20", "-1"},
                                        {"byte * 2^20", "1e9"}}) {
    EXPECT_EQ(memory(units, quantity), "") << units;
    ASSERT_EQ(findings.size(), 2U);
    EXPECT_EQ(findings[1].what, "the OVF's memory cannot be read, so the launch decides");
  }
}

TEST_F(ImportOvf, TakesTheDefaultConfigurationOnly) {
  const std::string options = R"(<DeploymentOptionSection><Info/><Configuration ovf:id="small"/>
    <Configuration ovf:id="big" ovf:default="true"/></DeploymentOptionSection><VirtualSystem )";
  std::string text = replaced(plain(), "<VirtualSystem ", options);
  const std::string item = "<Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>";
  const auto cpus = [](const char* attributes, int count) {
    return "<Item " + std::string(attributes) + "><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3" +
           "</rasd:ResourceType><rasd:VirtualQuantity>" + std::to_string(count) + "</rasd:VirtualQuantity></Item>";
  };
  text = replaced(text, item,
                  cpus("ovf:configuration=\"small\"", 1) + cpus("ovf:configuration=\"big huge\"", 16) +
                      cpus("ovf:bound=\"min\"", 2) + item);
  EXPECT_EQ(facts(text).at("machine.cpus"), "16");
}

TEST_F(ImportOvf, LeavesOutWhatIsInNoDriveAndAddsEmptyDisks) {
  std::string text = plain();
  text = replaced(text, "</DiskSection>",
                  "<Disk ovf:diskId=\"spare\" ovf:capacity=\"10\" ovf:capacityAllocationUnits=\"byte * 2^30\"/>"
                  "<Disk ovf:diskId=\"blank\" ovf:capacity=\"10\" ovf:capacityAllocationUnits=\"byte * 2^40\"/>"
                  "</DiskSection>");
  text = replaced(text, "</Item>\n      <Item><rasd:AddressOnParent>7",
                  "</Item><Item><rasd:HostResource>ovf:/disk/blank</rasd:HostResource><rasd:Parent>4</rasd:Parent>"
                  "<rasd:ResourceType>17</rasd:ResourceType></Item>\n<Item><rasd:AddressOnParent>7");
  ImportRun import;
  import.run(with(text));
  ASSERT_EQ(import.ctx.known_parts.size(), 1U);
  EXPECT_EQ(import.ctx.known_parts[0].disk->virtual_size(), 10ULL << 40);
  ASSERT_EQ(import.ctx.findings.size(), 2U);
  EXPECT_THAT(import.ctx.findings[1].what, HasSubstr("is in no drive of the machine"));
}

TEST_F(ImportOvf, T45_LooksUpAndExpandsNothing) {
  const fs::path canary = dir / "canary";
  write_text(canary, "canary");
  const std::string start = "<?xml version=\"1.0\"?>\n";
  const std::string body = plain().substr(plain().find("<Envelope"));
  std::string laughs = "<!DOCTYPE a [<!ENTITY a0 \"ha\">";
  for (int i = 1; i < 10; ++i)
    laughs +=
        "<!ENTITY a" + std::to_string(i) + " \"&a" + std::to_string(i - 1) + ";&a" + std::to_string(i - 1) + ";\">";
  for (const std::string& type :
       {std::string("<!DOCTYPE a [<!ENTITY x SYSTEM \"file://") + canary.string() + "\">]>",
        std::string("<!DOCTYPE a [<!ENTITY x SYSTEM \"http://127.0.0.1:1/\">]>"),
        std::string("<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1:1/\"> %x;]>"), laughs + "]>",
        std::string("<!DOCTYPE Envelope SYSTEM \"a.dtd\">"), std::string("<!DOCTYPE Envelope>")}) {
    const Error error = refusal(start + type + replaced(body, "web server", "&x;&a9;"));
    EXPECT_EQ(error.code(), code::archive) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("document type declaration"));
  }
  // Without a declaration an entity is just text.
  EXPECT_EQ(facts(start + replaced(body, "web server", "&x;")).at("origin.name"), "&x;");
}

TEST_F(ImportOvf, T45_IsBounded) {
  const auto repeated = [](const std::string& text, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += text;
    return out;
  };
  EXPECT_EQ(refusal(plain({{"MORE", repeated("<a>", 200'000) + repeated("</a>", 200'000)}})).code(), code::damaged);
  EXPECT_EQ(refusal(plain({{"MORE", repeated("<a>", 200'000)}})).code(), code::damaged);
  EXPECT_EQ(refusal(plain({{"MORE", "<!--" + std::string(50 << 20, ' ') + "-->"}})).code(), code::archive);
  EXPECT_EQ(refusal(plain({{"ITEMS", repeated("<Item/>", 5000)}})).code(), code::damaged);
  EXPECT_EQ(refusal("").code(), code::damaged);
  EXPECT_EQ(refusal("<?xml version=\"1.0\"?><other/>").code(), code::damaged);
  EXPECT_EQ(refusal(plain().substr(0, 1000)).code(), code::damaged);
}

TEST_F(ImportOvf, T45_ReadsUtf16) {
  for (const bool little : {true, false}) {
    std::string wide = little ? "\xff\xfe" : "\xfe\xff";
    for (const char c : replaced(plain(), "UTF-8", "UTF-16"))
      wide += little ? std::string{c, '\0'} : std::string{'\0', c};
    EXPECT_EQ(facts(wide).at("origin.name"), "web server");
  }
  EXPECT_EQ(facts(replaced(plain(), "web server", "h\xc3\xb6hle \xe2\x80\xae x")).at("origin.name"),
            "h\xc3\xb6hle \\xe2\\x80\\xae x");
}

TEST_F(ImportOvf, RefusesWhatContradictsItself) {
  const test::OvfDiskText disk{"disk1.qcow2", "d1", capacity, ""};
  const auto bad = [&](test::OvfDiskText other) { return refusal(test::ovf_of({disk, std::move(other)})).code(); };
  EXPECT_EQ(bad({"disk1.qcow2", "d2", capacity, ""}), code::damaged);  // a file twice
  EXPECT_EQ(bad({"disk2.qcow2", "d1", capacity, ""}), code::damaged);  // a disk's id twice
  const auto with_disk = [&](const std::string& text) {
    return refusal(replaced(plain(), "</DiskSection>", "<Disk " + text + "/></DiskSection>")).code();
  };
  EXPECT_EQ(with_disk(R"(ovf:diskId="d2" ovf:fileRef="file1" ovf:capacity="1")"), code::overlap);
  EXPECT_EQ(with_disk(R"(ovf:diskId="d2" ovf:fileRef="nothing" ovf:capacity="1")"), code::damaged);
  EXPECT_EQ(with_disk(R"(ovf:diskId="d2")"), code::invalid_size);
  EXPECT_EQ(with_disk(R"(ovf:diskId="d2" ovf:capacity="-1")"), code::invalid_size);
  EXPECT_EQ(with_disk(R"(ovf:diskId="d2" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^63")"),
            code::invalid_size);
  EXPECT_EQ(with_disk(R"(ovf:diskId="d2" ovf:capacity="${disk.size}")"), code::unsupported);
  EXPECT_EQ(with_disk(R"(ovf:diskId="d2" ovf:capacity="1" ovf:parentRef="d1")"), code::parent_needed);
  EXPECT_EQ(refusal(replaced(plain(), "ovf:/disk/d1", "ovf:/disk/other")).code(), code::damaged);
  EXPECT_EQ(refusal(replaced(plain(), "ovf:/disk/d1", "ovf:/file/file1")).code(), code::unsupported);
}

TEST_F(ImportOvf, IsOfOneMachine) {
  std::string text = plain();
  text.insert(text.find("</Envelope>"), "<VirtualSystem ovf:id=\"second\"/>");
  const Error error = refusal(text);
  EXPECT_EQ(error.code(), code::unsupported);
  EXPECT_THAT(error.what(), HasSubstr("describes 2 machines"));
  text = plain();
  text = replaced(text, "<VirtualSystem ", "<VirtualSystemCollection ovf:id=\"all\"><VirtualSystem ");
  text = replaced(text, "</VirtualSystem>", "</VirtualSystem></VirtualSystemCollection>");
  EXPECT_EQ(facts(text).at("machine.cpus"), "4");
}

}  // namespace
}  // namespace kiln
