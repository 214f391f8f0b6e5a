#include "machine/qemu.h"

#include <gmock/gmock.h>

#include <kiln/file.h>

#include "process/process.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

MachineSpec ordinary() {
  MachineSpec spec;
  spec.name = "web";
  spec.accelerator = "tcg";
  spec.memory = Bytes{(512u << 20) + 1};
  spec.cpus = 3;
  spec.base = {"/images/a,b.qcow2", "qcow2"};
  return spec;
}

/// The value after an option, the n-th time it is given.
std::string after(const std::vector<std::string>& args, const std::string& option, int nth = 0) {
  for (std::size_t i = 0; i + 1 < args.size(); ++i)
    if (args[i] == option && nth-- == 0) return args[i + 1];
  return "absent";
}

std::string joined(const std::vector<std::string>& args) {
  std::string all;
  for (const std::string& a : args) all += a + "\n";
  return all;
}

TEST(QemuArguments, BeginWithNothingOfQemusOwn) {
  const auto args = qemu_arguments(ordinary());
  EXPECT_EQ(args[0], "-nodefaults");
  EXPECT_EQ(args[1], "-no-user-config");
  EXPECT_EQ(after(args, "-display"), "none");
  EXPECT_EQ(after(args, "-machine"), "q35,graphics=off");
  EXPECT_EQ(after(args, "-sandbox"), "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  EXPECT_EQ(after(args, "-m"), "513");
  EXPECT_EQ(after(args, "-smp"), "3");
}

TEST(QemuArguments, OneAcceleratorWithItsCpu) {
  MachineSpec spec = ordinary();
  auto args = qemu_arguments(spec);
  EXPECT_EQ(after(args, "-accel"), "tcg");
  EXPECT_EQ(after(args, "-accel", 1), "absent");
  EXPECT_EQ(after(args, "-cpu"), "max");
  spec.accelerator = "kvm";
  args = qemu_arguments(spec);
  EXPECT_EQ(after(args, "-accel"), "kvm");
  EXPECT_EQ(after(args, "-cpu"), "host");
}

TEST(QemuArguments, EveryLayerOfTheDiskNamesItsDriver) {
  EXPECT_EQ(
      after(qemu_arguments(ordinary()), "-blockdev"),
      R"({"backing":{"driver":"qcow2","file":{"driver":"file","filename":"/images/a,b.qcow2","read-only":true},)"
      R"("read-only":true},"cache":{"no-flush":false},"discard":"unmap","driver":"qcow2","file":)"
      R"({"cache":{"no-flush":false},"discard":"unmap","driver":"file","filename":"disk.qcow2","read-only":false},)"
      R"("node-name":"disk"})");
}

TEST(QemuArguments, NoPathOfTheHomeMeetsOptionSyntax) {
  MachineSpec spec = ordinary();
  spec.seed = true;
  const std::string all = joined(qemu_arguments(spec));
  EXPECT_THAT(all, HasSubstr("socket,id=serial,path=console.sock,server=on,wait=off,logfile=serial.log\n"));
  EXPECT_THAT(all, HasSubstr("socket,id=qmp,path=qmp.sock,server=on,wait=off\n"));
  EXPECT_THAT(all, HasSubstr("virtserialport,chardev=agent,name=org.qemu.guest_agent.0\n"));
  EXPECT_THAT(all, HasSubstr("virtio-rng-pci,rng=rng\n"));
  EXPECT_EQ(after(qemu_arguments(spec), "-blockdev", 1),
            R"({"driver":"raw","file":{"driver":"file","filename":"seed.iso","read-only":true},"node-name":"seed",)"
            R"("read-only":true})");
}

TEST(QemuArguments, PortsLeadFromTheLoopbackAddressOnly) {
  MachineSpec spec = ordinary();
  EXPECT_EQ(after(qemu_arguments(spec), "-netdev"), "user,id=net");
  spec.ports = {{2222, 22}, {8080, 80}};
  EXPECT_EQ(after(qemu_arguments(spec), "-netdev"),
            "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80");
  spec.ports.clear();
  spec.isolated = true;
  EXPECT_EQ(after(qemu_arguments(spec), "-netdev"), "user,id=net,restrict=on");
}

TEST(QemuArguments, UefiHasAVariableStoreOfItsOwn) {
  MachineSpec spec = ordinary();
  spec.firmware = Firmware::uefi;
  const auto args = qemu_arguments(spec);
  EXPECT_EQ(after(args, "-machine"), "q35,graphics=off,pflash0=code,pflash1=vars");
  EXPECT_THAT(after(args, "-blockdev", 0), HasSubstr("OVMF_CODE_4M.fd\",\"read-only\":true"));
  EXPECT_THAT(after(args, "-blockdev", 1), HasSubstr("\"vars.fd\",\"read-only\":false"));
}

TEST(QemuArguments, OnlyAThrowAwayDiskSkipsFlushes) {
  MachineSpec spec = ordinary();
  EXPECT_THAT(after(qemu_arguments(spec), "-blockdev"), Not(HasSubstr("\"no-flush\":true")));
  spec.throw_away = true;
  EXPECT_THAT(after(qemu_arguments(spec), "-blockdev"), HasSubstr("\"no-flush\":true"));
}

TEST(PrepareFolder, MakesAnOverlayOfTheBasesSize) {
  test::TempDir dir;
  File::create(dir / "base.raw").truncate(3 << 20);
  MachineSpec spec = ordinary();
  spec.base = {dir / "base.raw", "raw"};
  spec.firmware = Firmware::uefi;
  std::filesystem::create_directory(dir / "m");
  prepare_folder(dir / "m", spec);
  const std::string info = run_checked({"qemu-img", {"info", (dir / "m/disk.qcow2").string()}});
  EXPECT_THAT(info, HasSubstr("(3145728 bytes)"));
  EXPECT_THAT(info, HasSubstr("backing file format: raw"));
  EXPECT_TRUE(std::filesystem::exists(dir / "m/vars.fd"));
}

TEST(PrepareFolder, ABaseThatIsNoImageIsAnError) {
  test::TempDir dir;
  write_text(dir / "base", "no qcow2");
  MachineSpec spec = ordinary();
  spec.base = {dir / "base", "qcow2"};
  try {
    prepare_folder(dir.path(), spec);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "qemu-img exited with status 1");
    EXPECT_THAT(e.evidence(), Contains(HasSubstr("not in qcow2 format")));
  }
}

}  // namespace
}  // namespace kiln
