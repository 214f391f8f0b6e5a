#include "machine/qemu.h"

#include <nlohmann/json.hpp>

#include "process/process.h"

namespace kiln {
namespace {

using nlohmann::json;
constexpr char ovmf_vars[] = "/usr/share/OVMF/OVMF_VARS_4M.fd";

json file_node(const std::string& name, bool read_only) {
  return {{"driver", "file"}, {"filename", name}, {"read-only", read_only}};
}

/// Every layer names its driver, so nothing that a guest wrote into a disk is ever taken for a header.
json overlay_node(const MachineSpec& spec) {
  const json cache{{"no-flush", spec.throw_away}};
  json file = file_node(machine_file::disk, false);
  file.update({{"discard", "unmap"}, {"cache", cache}});
  const json base{
      {"driver", spec.base.format}, {"read-only", true}, {"file", file_node(spec.base.file.string(), true)}};
  return {{"driver", "qcow2"}, {"node-name", "disk"}, {"discard", "unmap"},
          {"cache", cache},    {"file", file},        {"backing", base}};
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
  const std::string flash = spec.firmware == Firmware::uefi ? ",pflash0=code,pflash1=vars" : "";
  const std::uint64_t mib = (spec.memory.count + (1u << 20) - 1) >> 20;
  // graphics=off makes SeaBIOS write to the serial port, so that "No bootable device" can be read there.
  add(args, {"-nodefaults", "-no-user-config",
             "-display",    "none",
             "-name",       "kiln-" + spec.name,
             "-machine",    "q35,graphics=off" + flash,
             "-accel",      spec.accelerator,
             "-cpu",        kvm ? "host" : "max",
             "-m",          std::to_string(mib),
             "-smp",        std::to_string(spec.cpus),
             "-boot",       "strict=on",
             "-rtc",        "base=utc",
             "-sandbox",    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
}

void add_drives(Args& args, const MachineSpec& spec) {
  if (spec.firmware == Firmware::uefi)
    add(args, {"-blockdev", raw_node("code", ovmf_code().string(), true).dump(), "-blockdev",
               raw_node("vars", machine_file::vars, false).dump()});
  add(args, {"-blockdev", overlay_node(spec).dump(), "-device", "virtio-blk-pci,drive=disk,id=disk0,bootindex=0"});
  if (spec.seed)
    add(args, {"-blockdev", raw_node("seed", machine_file::seed, true).dump(), "-device",
               "virtio-blk-pci,drive=seed,id=seed0"});
}

void add_network(Args& args, const MachineSpec& spec) {
  std::string net = "user,id=net";
  if (spec.isolated) net += ",restrict=on";
  for (const PortForward& port : spec.ports)
    net += ",hostfwd=tcp:127.0.0.1:" + std::to_string(port.host) + "-:" + std::to_string(port.guest);
  add(args, {"-netdev", net, "-device", "virtio-net-pci,netdev=net,id=net0,romfile="});
}

void add_channels(Args& args) {
  const auto server = [](const char* id, const std::string& path) {
    return "socket,id=" + std::string(id) + ",path=" + path + ",server=on,wait=off";
  };
  add(args, {"-chardev", server("serial", machine_file::console) + ",logfile=" + machine_file::serial_log, "-serial",
             "chardev:serial", "-chardev", server("qmp", machine_file::qmp), "-mon", "chardev=qmp,mode=control",
             "-device", "virtio-serial-pci", "-chardev", server("agent", machine_file::agent), "-device",
             "virtserialport,chardev=agent,name=org.qemu.guest_agent.0", "-object",
             "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"});
}

}  // namespace

std::filesystem::path ovmf_code() {
  return "/usr/share/OVMF/OVMF_CODE_4M.fd";
}

std::vector<std::string> qemu_arguments(const MachineSpec& spec) {
  Args args;
  add_board(args, spec);
  add_drives(args, spec);
  add_network(args, spec);
  add_channels(args);
  return args;
}

void prepare_folder(const std::filesystem::path& folder, const MachineSpec& spec) {
  if (spec.firmware == Firmware::uefi) {
    if (!std::filesystem::exists(ovmf_vars) || !std::filesystem::exists(ovmf_code()))
      throw Error("UEFI firmware (OVMF) is not installed", "sudo apt-get install ovmf");
    std::filesystem::copy_file(ovmf_vars, folder / machine_file::vars);
  }
  // qemu-img takes the size of whatever format the base has; both formats are given, so it probes none.
  run_checked({"qemu-img",
               {"create", "-q", "-f", "qcow2", "-F", spec.base.format, "-b",
                std::filesystem::absolute(spec.base.file).string(), (folder / machine_file::disk).string()}});
}

}  // namespace kiln
