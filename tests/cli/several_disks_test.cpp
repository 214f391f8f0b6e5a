// Machines of several disks, and with variables in their firmware: captured, launched, restored, detached.
#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include <kiln/file.h>

#include <nlohmann/json.hpp>

#include "cli/with_instances.h"
#include "machine/bare_qemu.h"
#include "support/disks.h"
#include "support/tiny_image.h"

namespace kiln::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

class SeveralDisks : public WithInstances {
 protected:
  json show(const std::string& image) { return json::parse(tell({"image", "show", image, "--json"})); }
  /// Of the system disk, then of the parts.
  std::vector<std::string> contents(const std::string& image) {
    const json shown = show(image);
    std::vector<std::string> all{shown["content"]};
    for (const json& part : shown["parts"]) all.push_back(part["content"]);
    return all;
  }
  std::filesystem::path export_part(const std::string& image, const std::string& part) {
    const auto file = kiln / (part + "-" + std::to_string(++exports_) + ".raw");
    tell({"image", "export", image, file.string(), "--part", part});
    return file;
  }
  /// An image of a machine with a system disk and two others, taken while it runs.
  void capture_a_stranger(const std::string& name) {
    kiln.raw_disk("a.raw", 4, 1);
    kiln.raw_disk("b.raw", 6, 2);
    kiln.raw_disk("c.raw", 3, 3);
    std::vector<std::string> drives;
    for (const char* disk : {"a", "b", "c"}) drives.push_back("file=" + (kiln / disk).string() + ".raw,format=raw");
    const BareQemu qemu(kiln.folder(), drives);
    qemu.ask("query-status");  // its monitors are there
    tell({"capture", "--qmp", qemu.monitor().string(), "--name", name});
  }
  void launch(const std::string& image, const std::string& name) {
    tell({"launch", image, "--name", name, "--memory", "64M", "--cpus", "1", "--accel", "tcg"});
  }
  void stop(const std::string& name) { tell({"stop", name, "--timeout", "1s"}); }
  /// As the guest would.
  void write(const std::string& device, const std::string& what) {
    const std::string line = "qemu-io -d /machine/peripheral/" + device + "/virtio-backend \"write " + what + "\"";
    const auto said = Qmp::connect(kiln.home() / "instances/one/qmp.sock", 30s)
                          .execute("human-monitor-command", {{"command-line", line}});
    EXPECT_EQ(said, "") << said;
  }
  std::filesystem::path base_of(const std::string& content) const {
    return kiln.home() / "bases" / (content.substr(content.find(':') + 1) + ".qcow2");
  }
  int exports_ = 0;
};

TEST_F(SeveralDisks, AreCapturedAndLaunchedTogether) {
  capture_a_stranger("multi:1");
  const json image = show("multi:1");
  ASSERT_THAT(image["parts"], SizeIs(2));
  EXPECT_EQ(image["parts"][0]["role"], "data");
  EXPECT_EQ(image["parts"][0]["name"], "virtio1");
  EXPECT_TRUE(image["facts"].contains("disk.layout.virtio1"));
  EXPECT_TRUE(same_files(export_part("multi:1", "virtio1"), kiln / "b.raw"));
  EXPECT_TRUE(same_files(export_part("multi:1", "virtio2"), kiln / "c.raw"));

  launch("multi:1", "one");
  write("disk1", "-P 0x11 64k 64k");
  write("disk2", "-P 0x22 2M 64k");
  tell({"capture", "one", "--name", "multi:2"});
  const json second = show("multi:2");
  ASSERT_THAT(second["parts"], SizeIs(2));
  EXPECT_EQ(second["parts"][0]["name"], "disk1");
  EXPECT_EQ(second["content"], image["content"]);
  for (const auto& [name, before, at, value] :
       {std::tuple("disk1", "b.raw", 65536u, 0x11), std::tuple("disk2", "c.raw", 2u << 20, 0x22)}) {
    File expected = File::open_write(kiln / before);
    expected.write_at(at, std::vector<std::byte>(65536, static_cast<std::byte>(value)));
    EXPECT_TRUE(same_files(export_part("multi:2", name), kiln / before));
  }

  // One that is paused is taken as it is, and stays so.
  Qmp monitor = Qmp::connect(file_of("one", "qmp.sock"), 30s);
  monitor.execute("stop");
  EXPECT_THAT(tell({"capture", "one", "--name", "paused"}), HasSubstr("the machine is paused"));
  EXPECT_EQ(contents("paused"), contents("multi:2"));
  EXPECT_FALSE(monitor.execute("query-status")["running"]);
  monitor.execute("cont");

  // A bitmap for each disk: nothing was written since.
  tell({"capture", "one", "--name", "multi:3"});
  EXPECT_EQ(contents("multi:3"), contents("multi:2"));
  stop("one");
  tell({"capture", "one", "--name", "multi:4", "--require", "stopped"});
  EXPECT_EQ(contents("multi:4"), contents("multi:2"));
  tell({"start", "one"});
  tell({"capture", "one", "--name", "multi:5"});
  EXPECT_EQ(contents("multi:5"), contents("multi:2")) << "all of them are there again";
}

TEST_F(SeveralDisks, StandOnTheirImageAsLongAsTheyNeedIt) {
  capture_a_stranger("multi:1");
  const auto stands_on = contents("multi:1");
  launch("multi:1", "one");
  for (const std::string& content : stands_on) EXPECT_TRUE(std::filesystem::exists(base_of(content)));
  EXPECT_THAT(tell({"image", "rm", "--now", "multi:1"}, 3), HasSubstr("one"));
  write("disk1", "-P 0x11 64k 64k");
  tell({"capture", "one", "--name", "copy:1"});
  tell({"detach", "one"});
  tell({"image", "rm", "--now", "multi:1"});
  EXPECT_TRUE(std::filesystem::exists(base_of(stands_on[0]))) << "copy:1 has the same system disk";
  EXPECT_FALSE(std::filesystem::exists(base_of(stands_on[1])));
  EXPECT_TRUE(std::filesystem::exists(base_of(stands_on[2])));
  stop("one");
  tell({"start", "one"});
  tell({"capture", "one", "--name", "copy:2"});
  EXPECT_EQ(contents("copy:2"), contents("copy:1"));

  launch("copy:1", "two");
  stop("two");
  tell({"detach", "two"});
  for (const char* image : {"copy:1", "copy:2"}) tell({"image", "rm", "--now", image});
  tell({"start", "two"});
}

TEST_F(SeveralDisks, AreThereOnEveryBus) {
  capture_a_stranger("multi:1");
  for (const char* bus : {"scsi", "sata", "nvme"}) {
    tell({"launch", "multi", "--name", "one", "--disk-bus", bus, "--memory", "64M", "--cpus", "1", "--accel", "tcg"});
    std::size_t writable = 0;
    for (const json& disk : Qmp::connect(file_of("one", "qmp.sock"), 30s).execute("query-block"))
      if (disk.contains("inserted") && !disk["inserted"]["ro"]) ++writable;
    EXPECT_EQ(writable, 3u) << bus;
    tell({"capture", "one", "--name", bus});
    EXPECT_EQ(contents(bus), contents("multi:1"));
    EXPECT_EQ(show(bus)["facts"]["machine.disk_bus"], bus);
    tell({"rm", "one", "--force"});
  }
}

TEST_F(SeveralDisks, AreRestoredTogether) {
  capture_a_stranger("multi:1");
  launch("multi:1", "one");
  tell({"backup", "one"});
  write("disk0", "-P 0xaa 0 64k");
  write("disk2", "-P 0xbb 1M 128k");
  stop("one");
  EXPECT_THAT(tell({"restore", "one", "--json"}), HasSubstr("\"written_bytes\":" + std::to_string(3 * 65536)));
  tell({"capture", "one", "--name", "after"});
  EXPECT_EQ(contents("after"), contents("one-backup"));
  EXPECT_NE(contents("one-damaged"), contents("one-backup"));

  tell({"import", "a.raw", "--name", "single"});
  const std::string version = show("single")["version"];
  EXPECT_THAT(tell({"restore", "one", "--to", "single:" + version}, 1),
              HasSubstr("is of a machine with 1 disks, and instance \"one\" has 3"));
  tell({"restore", "one", "--as", "two"});
  tell({"capture", "two", "--name", "other"});
  EXPECT_EQ(contents("other"), contents("one-backup"));
}

TEST_F(SeveralDisks, AreRefusedWhereTheyCannotBe) {
  capture_a_stranger("multi:1");
  EXPECT_THAT(tell({"launch", "multi", "--driver", "libvirt", "--connect", "test:///default"}, 3),
              HasSubstr("multi:1 has 3 disks, and kiln makes machines of several disks on this host only"));
}

TEST_F(SeveralDisks, TheFirmwaresVariablesGoWithTheMachine) {
  tell({"import", tiny_image("stay").string(), "--name", "tiny"});
  tell({"launch", "tiny", "--name", "one", "--memory", "192M", "--cpus", "1", "--accel", "tcg", "--firmware", "uefi"});
  const auto instance = kiln.home() / "instances/one";
  for (int i = 0; i < 3000 && read_text(instance / "serial.log").find("KILN-BOOT-OK") == std::string::npos; ++i)
    std::this_thread::sleep_for(50ms);
  ASSERT_THAT(read_text(instance / "serial.log"), HasSubstr("KILN-BOOT-OK"));
  EXPECT_FALSE(same_files(instance / "vars.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")) << "the firmware has written";
  tell({"capture", "one", "--name", "efi:1"});
  const json image = show("efi:1");
  EXPECT_EQ(image["facts"]["boot.firmware"], "uefi");
  ASSERT_THAT(image["parts"], SizeIs(1));
  EXPECT_EQ(image["parts"][0]["role"], "firmware");
  EXPECT_TRUE(same_files(export_part("efi:1", "vars"), instance / "vars.fd"));

  stop("one");
  tell({"capture", "one", "--name", "efi:2"});
  EXPECT_EQ(contents("efi:2"), contents("efi:1"));
  tell({"launch", "efi:1", "--name", "two", "--stopped"});
  EXPECT_TRUE(same_files(kiln.home() / "instances/two/vars.fd", instance / "vars.fd"));
  tell({"rm", "two"});
  tell({"launch", "efi:1", "--name", "two", "--stopped", "--firmware", "secure"});
  EXPECT_TRUE(same_files(kiln.home() / "instances/two/vars.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"));

  const std::string vars = read_text(instance / "vars.fd");
  write_text(instance / "vars.fd", std::string(vars.size(), 'x'));
  tell({"restore", "one", "--to", "efi:1"});
  EXPECT_EQ(read_text(instance / "vars.fd"), vars);
}

}  // namespace
}  // namespace kiln::test
