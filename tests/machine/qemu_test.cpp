#include "machine/qemu.h"

#include <gmock/gmock.h>

#include <kiln/file.h>

#include "process/process.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

MachineSpec ordinary() {
  MachineSpec spec;
  spec.name = "web";
  spec.accelerator = "tcg";
  spec.hardware.memory = Bytes{(512u << 20) + 1};
  spec.hardware.cpus = 3;
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
  EXPECT_THAT(all,
              HasSubstr("socket,id=serial,path=console.sock,server=on,wait=off,logfile=serial.log,logappend=on\n"));
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
  spec.hardware.isolated = true;
  EXPECT_EQ(after(qemu_arguments(spec), "-netdev"), "user,id=net,restrict=on");
}

TEST(QemuArguments, UefiHasAVariableStoreOfItsOwn) {
  MachineSpec spec = ordinary();
  spec.hardware.firmware = Firmware::uefi;
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
  spec.disk_size = 3 << 20;
  spec.hardware.firmware = Firmware::uefi;
  std::filesystem::create_directory(dir / "m");
  prepare_folder(dir / "m", spec);
  const std::string info = run_checked({"qemu-img", {"info", (dir / "m/disk.qcow2").string()}});
  EXPECT_THAT(info, HasSubstr("(3145728 bytes)"));
  EXPECT_THAT(info, HasSubstr("backing file format: raw"));
  EXPECT_TRUE(std::filesystem::exists(dir / "m/vars.fd"));
}

TEST(QemuArguments, TheDiskHangsOnTheBusThatIsAskedFor) {
  MachineSpec spec = ordinary();
  spec.seed = true;
  EXPECT_EQ(after(qemu_arguments(spec), "-device"), "virtio-blk-pci,drive=disk,id=disk0,bootindex=0");
  spec.hardware.disk_bus = DiskBus::scsi;
  EXPECT_EQ(after(qemu_arguments(spec), "-device", 1), "scsi-hd,bus=scsi.0,drive=disk,id=disk0,bootindex=0");
  spec.hardware.disk_bus = DiskBus::nvme;
  EXPECT_THAT(after(qemu_arguments(spec), "-device"), HasSubstr("nvme,"));
  spec.hardware.disk_bus = DiskBus::sata;
  EXPECT_THAT(after(qemu_arguments(spec), "-device"), HasSubstr("ide-hd,bus=ide.0,"));
  EXPECT_EQ(after(qemu_arguments(spec), "-device", 1), "ide-cd,bus=ide.1,drive=seed,id=seed0");
}

TEST(QemuArguments, DataDisksFollowTheSystemDiskOnItsBus) {
  MachineSpec spec = ordinary();
  spec.seed = true;
  spec.data = {{{"/images/b", "qcow2"}, 1 << 20}, {{}, 2 << 20}};
  auto args = qemu_arguments(spec);
  EXPECT_THAT(after(args, "-blockdev", 1), AllOf(HasSubstr("\"/images/b\""), HasSubstr("\"data1.qcow2\"")));
  EXPECT_THAT(after(args, "-blockdev", 2), AllOf(HasSubstr("\"backing\":null"), HasSubstr("\"data2.qcow2\"")));
  EXPECT_EQ(after(args, "-device", 1), "virtio-blk-pci,drive=data1,id=disk1");
  EXPECT_EQ(after(args, "-device", 2), "virtio-blk-pci,drive=data2,id=disk2");
  EXPECT_THAT(after(args, "-device", 3), HasSubstr("drive=seed"));
  spec.hardware.disk_bus = DiskBus::sata;
  args = qemu_arguments(spec);
  EXPECT_EQ(after(args, "-device", 1), "ide-hd,bus=ide.2,drive=data1,id=disk1");
  EXPECT_EQ(after(args, "-device", 2), "ide-hd,bus=ide.3,drive=data2,id=disk2");
  spec.hardware.disk_bus = DiskBus::scsi;
  args = qemu_arguments(spec);
  EXPECT_EQ(after(args, "-device", 2), "scsi-hd,bus=scsi.0,drive=data1,id=disk1");
  spec.hardware.disk_bus = DiskBus::nvme;
  EXPECT_EQ(after(qemu_arguments(spec), "-device", 1), "nvme,serial=kiln-disk1,drive=data1,id=disk1");
}

TEST(PrepareFolder, TakesTheFirmwaresVariablesThatItIsGiven) {
  test::TempDir dir;
  File::create(dir / "base.raw").truncate(3 << 20);
  MachineSpec spec = ordinary();
  spec.base = {dir / "base.raw", "raw"};
  spec.disk_size = 3 << 20;
  spec.data = {{spec.base, 3 << 20}};
  spec.hardware.firmware = Firmware::uefi;
  std::filesystem::create_directory(dir / "m");
  prepare_folder(dir / "m", spec);
  std::vector<std::byte> vars(std::filesystem::file_size(dir / "m/vars.fd"), std::byte{7});
  EXPECT_THAT(run_checked({"qemu-img", {"info", (dir / "m/data1.qcow2").string()}}), HasSubstr("(3145728 bytes)"));
  std::filesystem::create_directory(dir / "n");
  prepare_folder(dir / "n", spec, vars);
  EXPECT_EQ(read_text(dir / "n/vars.fd"), std::string(vars.size(), 7));
  vars.pop_back();
  std::filesystem::create_directory(dir / "o");
  EXPECT_THROW(prepare_folder(dir / "o", spec, vars), Error);
}

TEST(QemuArguments, EachMachineIsItself) {
  MachineSpec spec = ordinary();
  EXPECT_EQ(after(qemu_arguments(spec), "-uuid"), "absent");
  spec.uuid = "00000000-0000-4000-8000-000000000001";
  spec.mac = "52:54:00:00:00:01";
  EXPECT_EQ(after(qemu_arguments(spec), "-uuid"), spec.uuid);
  EXPECT_THAT(joined(qemu_arguments(spec)), HasSubstr("virtio-net-pci,netdev=net,id=net0,romfile=,mac=" + spec.mac));
}

TEST(QemuArguments, TheNetworkCardMayBeAnotherOneOrNone) {
  MachineSpec spec = ordinary();
  spec.hardware.nic = Nic::e1000;
  spec.hardware.tap = "tap3";
  EXPECT_EQ(after(qemu_arguments(spec), "-netdev"), "tap,id=net,ifname=tap3,script=no,downscript=no");
  EXPECT_THAT(joined(qemu_arguments(spec)), HasSubstr("e1000,netdev=net"));
  spec.hardware.nic = Nic::none;
  EXPECT_EQ(after(qemu_arguments(spec), "-netdev"), "absent");
}

TEST(QemuArguments, WhatStartsOnlySignedThingsGuardsItsKeysAndHasATpm) {
  MachineSpec spec = ordinary();
  EXPECT_FALSE(tpm_command(spec));
  spec.hardware.firmware = Firmware::secure;
  const auto args = qemu_arguments(spec);
  EXPECT_EQ(after(args, "-machine"), "q35,graphics=off,pflash0=code,pflash1=vars,smm=on");
  EXPECT_EQ(after(args, "-global"), "driver=cfi.pflash01,property=secure,value=on");
  EXPECT_THAT(after(args, "-blockdev"), HasSubstr("OVMF_CODE_4M.secboot.fd"));
  EXPECT_EQ(after(args, "-tpmdev"), "emulator,id=tpm0,chardev=tpm");
  ASSERT_TRUE(tpm_command(spec));
  EXPECT_EQ(tpm_command(spec)->program, "swtpm");
}

}  // namespace
}  // namespace kiln
