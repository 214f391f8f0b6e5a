#include "machine/qemu.h"

#include <kiln/file.h>

#include <nlohmann/json.hpp>

#include "machine/overlay.h"

namespace kiln {
namespace {

using nlohmann::json;

/// With Microsoft's keys, which the loaders of the distributions are signed with, for who wants only signed ones.
std::filesystem::path ovmf_vars(Firmware firmware) {
  return firmware == Firmware::secure ? "/usr/share/OVMF/OVMF_VARS_4M.ms.fd" : "/usr/share/OVMF/OVMF_VARS_4M.fd";
}

json file_node(const std::string& name, bool read_only) {
  return {{"driver", "file"}, {"filename", name}, {"read-only", read_only}};
}

/// Every layer names its driver, so nothing that a guest wrote into a disk is ever taken for a header.
json overlay_node(const MachineSpec& spec, std::size_t disk) {
  const json cache{{"no-flush", spec.throw_away}};
  const DiskFile& below = disk == 0 ? spec.base : spec.data.at(disk - 1).base;
  json file = file_node(disk_file(disk), false);
  file.update({{"discard", "unmap"}, {"cache", cache}});
  json base;  // null: it stands alone
  if (!below.file.empty())
    base = {{"driver", below.format}, {"read-only", true}, {"file", file_node(below.file.string(), true)}};
  return {{"driver", "qcow2"},  {"node-name", disk_node_name(disk)},
          {"discard", "unmap"}, {"cache", cache},
          {"file", file},       {"backing", base}};
}

json raw_node(const char* name, const std::string& file, bool read_only) {
  return {{"driver", "raw"}, {"node-name", name}, {"read-only", read_only}, {"file", file_node(file, read_only)}};
}

using Args = std::vector<std::string>;

void add(Args& to, std::initializer_list<std::string> items) {
  to.insert(to.end(), items);
}

void add_board(Args& args, const MachineSpec& spec) {
  const bool kvm = spec.accelerator == "kvm";
  const bool secure = spec.hardware.firmware == Firmware::secure;
  std::string machine = (spec.resumes_on.empty() ? "q35" : spec.resumes_on) + ",graphics=off";
  if (spec.hardware.firmware != Firmware::bios) machine += ",pflash0=code,pflash1=vars";
  // Without system management mode the guest itself could write the variables that hold the keys.
  if (secure) machine += ",smm=on";
  const std::uint64_t mib = (spec.hardware.memory.count + (1u << 20) - 1) >> 20;
  // graphics=off makes SeaBIOS write to the serial port, so that "No bootable device" can be read there.
  add(args, {"-nodefaults", "-no-user-config",
             "-display",    "none",
             "-name",       "kiln-" + spec.name,
             "-machine",    machine,
             "-accel",      spec.accelerator,
             "-cpu",        kvm ? "host" : "max",
             "-m",          std::to_string(mib),
             "-smp",        std::to_string(spec.hardware.cpus),
             "-boot",       "strict=on",
             "-rtc",        "base=utc",
             "-sandbox",    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
  if (secure) add(args, {"-global", "driver=cfi.pflash01,property=secure,value=on"});
  if (!spec.uuid.empty()) add(args, {"-uuid", spec.uuid});
}

/// A disk of the guest's.
std::string disk_device(DiskBus bus, std::size_t number) {
  const std::string id = disk_device_name(number);
  const std::string disk = "drive=" + disk_node_name(number) + ",id=" + id + (number == 0 ? ",bootindex=0" : "");
  switch (bus) {
    case DiskBus::scsi:
      return "scsi-hd,bus=scsi.0," + disk;
    case DiskBus::sata:  // the second port is the seed's
      return "ide-hd,bus=ide." + std::to_string(number == 0 ? 0 : number + 1) + "," + disk;
    case DiskBus::nvme:
      return "nvme,serial=kiln-" + id + "," + disk;
    case DiskBus::virtio:
      break;
  }
  return "virtio-blk-pci," + disk;
}

void add_drives(Args& args, const MachineSpec& spec) {
  if (spec.hardware.firmware != Firmware::bios)
    add(args, {"-blockdev", raw_node("code", ovmf_code(spec.hardware.firmware).string(), true).dump(), "-blockdev",
               raw_node("vars", machine_file::vars, false).dump()});
  if (spec.hardware.disk_bus == DiskBus::scsi) add(args, {"-device", "virtio-scsi-pci,id=scsi"});
  for (std::size_t disk = 0; disk <= spec.data.size(); ++disk)
    add(args, {"-blockdev", disk_node(spec, disk), "-device", disk_device(spec.hardware.disk_bus, disk)});
  // A guest that has no driver for one virtio disk has none for the other either.
  const bool is_virtio = spec.hardware.disk_bus == DiskBus::virtio;
  if (spec.seed)
    add(args, {"-blockdev", raw_node("seed", machine_file::seed, true).dump(), "-device",
               is_virtio ? "virtio-blk-pci,drive=seed,id=seed0" : "ide-cd,bus=ide.1,drive=seed,id=seed0"});
}

std::string nic_device(Nic nic) {
  return nic == Nic::virtio ? "virtio-net-pci" : std::string(to_text(nic));
}

void add_network(Args& args, const MachineSpec& spec) {
  if (spec.hardware.nic == Nic::none) return;
  const bool user = spec.hardware.tap.empty();
  std::string net = user ? "user,id=net" : "tap,id=net,ifname=" + spec.hardware.tap + ",script=no,downscript=no";
  if (spec.hardware.isolated && user) net += ",restrict=on";
  for (const PortForward& port : spec.ports)
    net += ",hostfwd=tcp:127.0.0.1:" + std::to_string(port.host) + "-:" + std::to_string(port.guest);
  const std::string mac = spec.mac.empty() ? "" : ",mac=" + spec.mac;
  add(args, {"-netdev", net, "-device", nic_device(spec.hardware.nic) + ",netdev=net,id=net0,romfile=" + mac});
}

void add_screen(Args& args, const MachineSpec& spec) {
  // The BIOS shows its text on it as well as on the serial port. Nothing is drawn until somebody asks for a picture.
  if (spec.screen) add(args, {"-device", "VGA,id=screen0"});
}

void add_channels(Args& args) {
  const auto server = [](const char* id, const std::string& path) {
    return "socket,id=" + std::string(id) + ",path=" + path + ",server=on,wait=off";
  };
  add(args,
      {"-chardev", server("serial", machine_file::console) + ",logfile=" + machine_file::serial_log + ",logappend=on",
       "-serial",  "chardev:serial",
       "-chardev", server("qmp", machine_file::qmp),
       "-mon",     "chardev=qmp,mode=control",
       "-chardev", server("capture", machine_file::capture),
       "-mon",     "chardev=capture,mode=control",
       "-device",  "virtio-serial-pci",
       "-chardev", server("agent", machine_file::agent),
       "-device",  "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
       "-object",  "rng-random,id=rng,filename=/dev/urandom",
       "-device",  "virtio-rng-pci,rng=rng"});
}

void add_tpm(Args& args, const MachineSpec& spec) {
  if (!tpm_command(spec)) return;
  add(args, {"-chardev", "socket,id=tpm,path=" + std::string(machine_file::tpm), "-tpmdev",
             "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"});
}

void make_vars(const std::filesystem::path& file, Firmware firmware, std::span<const std::byte> vars) {
  if (!std::filesystem::exists(ovmf_vars(firmware)) || !std::filesystem::exists(ovmf_code(firmware)))
    throw Error("UEFI firmware (OVMF) is not installed", "sudo apt-get install ovmf");
  if (vars.empty()) {
    std::filesystem::copy_file(ovmf_vars(firmware), file);
    return;
  }
  const std::uint64_t size = std::filesystem::file_size(ovmf_vars(firmware));
  if (vars.size() != size)
    throw refused("the image's firmware variables have " + format_bytes(vars.size()) +
                      ", and the firmware of this host keeps " + format_bytes(size),
                  "start it where the same firmware is installed");
  File to = File::create(file);
  to.write_at(0, vars);
}

void make_overlay(const std::filesystem::path& file, std::uint64_t size, const DiskFile& base) {
  constexpr std::uint64_t sector = 512;
  write_overlay(file, (size + sector - 1) / sector * sector, base);
}

}  // namespace

std::string disk_file(std::size_t disk) {
  return disk == 0 ? machine_file::disk : "data" + std::to_string(disk) + ".qcow2";
}

std::string disk_node_name(std::size_t disk) {
  return disk == 0 ? "disk" : "data" + std::to_string(disk);
}

std::string disk_device_name(std::size_t disk) {
  return "disk" + std::to_string(disk);
}

std::string disk_node(const MachineSpec& spec, std::size_t disk) {
  return overlay_node(spec, disk).dump();
}

std::filesystem::path ovmf_code(Firmware firmware) {
  return firmware == Firmware::secure ? "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd" : "/usr/share/OVMF/OVMF_CODE_4M.fd";
}

std::optional<Command> tpm_command(const MachineSpec& spec) {
  if (spec.hardware.firmware != Firmware::secure) return std::nullopt;
  return Command{"swtpm",
                 {"socket", "--tpm2", "--tpmstate", "dir=" + std::string(machine_file::tpm_state), "--ctrl",
                  "type=unixio,path=" + std::string(machine_file::tpm), "--terminate"}};
}

std::vector<std::string> qemu_arguments(const MachineSpec& spec) {
  Args args;
  add_board(args, spec);
  add_drives(args, spec);
  add_network(args, spec);
  add_screen(args, spec);
  add_channels(args);
  add_tpm(args, spec);
  if (!spec.resumes_on.empty()) add(args, {"-S"});
  return args;
}

void prepare_folder(const std::filesystem::path& folder, const MachineSpec& spec, std::span<const std::byte> vars) {
  const Firmware firmware = spec.hardware.firmware;
  if (firmware != Firmware::bios) make_vars(folder / machine_file::vars, firmware, vars);
  if (tpm_command(spec)) std::filesystem::create_directory(folder / machine_file::tpm_state);
  make_overlay(folder / disk_file(0), spec.disk_size, spec.base);
  for (std::size_t i = 0; i < spec.data.size(); ++i)
    make_overlay(folder / disk_file(i + 1), spec.data[i].size, spec.data[i].base);
}

}  // namespace kiln
