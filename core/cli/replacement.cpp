#include "cli/replacement.h"

#include <algorithm>

#include "catalog/image_parts.h"
#include "cli/host_machines.h"
#include "machine/host_room.h"
#include "machine/ports.h"
#include "machine/qemu.h"
#include "process/file_lock.h"
#include "process/process.h"

namespace kiln::cli {
namespace {

/// Those it has itself are free as soon as it is gone.
void require_ports(const Instance& old, const LaunchSpec& spec, std::vector<Instance> others) {
  std::erase_if(others, [&](const Instance& other) { return other.name == old.name; });
  std::vector<PortForward> wanted = spec.ports;
  std::erase_if(wanted, [&](const PortForward& port) {
    const bool is_its_own = old.state == Instance::State::running &&
                            std::ranges::find(old.ports, port.host, &PortForward::host) != old.ports.end();
    return port.host == 0 || is_its_own;
  });
  check_ports(wanted, others, PortsOf::fleet);
}

void require_more_room(const Instance& old, const Hardware& hardware, const std::vector<Instance>& all) {
  Hardware more = hardware;
  if (old.driver == "qemu" && old.state == Instance::State::running) {
    more.memory.count -= std::min(more.memory.count, old.hardware.memory.count);
    more.cpus -= std::min(more.cpus, old.hardware.cpus);
    if (more.memory.count == 0 && more.cpus == 0) return;
  }
  require_room(room_of_host(all), more, 1, "stop others, describe a smaller one, or say --overcommit");
}

void require_firmware(Firmware firmware) {
  if (firmware == Firmware::bios) return;
  if (!std::filesystem::exists(ovmf_code(firmware)))
    throw Error("UEFI firmware (OVMF) is not installed", "sudo apt-get install ovmf");
  if (firmware == Firmware::secure && !find_program("swtpm"))
    throw Error("swtpm is not installed", "sudo apt-get install swtpm");
}

void prepare_disks(Services& services, const Image& image, const std::stop_token& stop) {
  const Home& home = services.home();
  std::filesystem::create_directories(home.bases());
  const auto lock = FileLock::exclusive(home.bases() / ".lock");
  const Bases bases(home, services.catalog(), services.registry().get("qcow2"));
  bases.prepare(image, stop);
  for (const ImagePart& part : image.parts)
    if (part.role == part_role::data) bases.prepare(disk_of(image, part), stop);
}

/// Asked for the same machine, which it need not have.
void require_host(Services& services, const Instance& old, const std::string& connect) {
  std::vector<Instance> asked{old};
  asked.front().driver = "libvirt";
  asked.front().connect = connect;
  services.instances().ask_hosts(asked);
  if (asked.front().state == Instance::State::unknown)
    throw Error(asked.front().reason, "is libvirtd running there, and may you use it?");
}

}  // namespace

void require_valid(const LaunchSpec& spec, const ImageEntry& entry, std::size_t count) {
  const Image& image = entry.image;
  const Hardware hardware = hardware_for(spec, image.facts);
  const auto data = static_cast<std::size_t>(std::ranges::count(image.parts, part_role::data, &ImagePart::role));
  require_bus_for(hardware.disk_bus, data);
  require_network_for(hardware, spec.ports, count);
  if (spec.disk_size != 0 && spec.disk_size < image.virtual_size)
    throw invalid("the disk of " + entry.reference() + " has " + format_bytes(image.virtual_size) +
                      ", which is more than " + format_bytes(spec.disk_size),
                  "give a larger disk_size, or leave it out");
  if (spec.driver != "libvirt") return;
  LibvirtDriver::require_possible(spec);
  if (data != 0)
    throw refused(entry.reference() + " has " + std::to_string(data + 1) +
                      " disks, and kiln makes machines of several disks on this host only",
                  "describe them without driver = \"libvirt\"");
}

void require_replaceable(Services& services, const Instance& old, const LaunchSpec& spec, const ImageEntry& entry,
                         std::stop_token stop) {
  (void)services.catalog().admit(entry);
  if (spec.driver == "libvirt") {
    if (old.driver != spec.driver || old.connect != spec.connect) require_host(services, old, spec.connect);
    return;
  }
  const Hardware hardware = hardware_for(spec, entry.image.facts);
  (void)services.accelerator();
  require_firmware(hardware.firmware);
  require_ports(old, spec, services.instances().list());
  if (!spec.overcommit) require_more_room(old, hardware, services.instances().everybodys());
  prepare_disks(services, entry.image, stop);
}

}  // namespace kiln::cli
