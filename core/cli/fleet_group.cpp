#include "cli/fleet_group.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <kiln/file.h>

#include "cli/launch_spec.h"

namespace kiln::cli {
namespace {

using engine::FleetGroup;

std::string unlike(std::string_view setting, std::string_view is, std::string_view wanted) {
  return is == wanted ? "" : fmt::format("{} is {}, not {}", setting, is, wanted);
}

std::string unlike_in_size(std::string_view setting, std::uint64_t is, std::uint64_t wanted) {
  if (is == wanted) return {};
  const std::string text = unlike(setting, format_bytes(is), format_bytes(wanted));
  return text.empty() ? fmt::format("{} is {} B, not {} B", setting, is, wanted) : text;
}

std::vector<std::uint16_t> guests_of(const std::vector<PortForward>& ports) {
  std::vector<std::uint16_t> guests;
  for (const PortForward& port : ports) guests.push_back(port.guest);
  std::ranges::sort(guests);
  return guests;
}

std::string ports_unlike(const Instance& instance, const FleetGroup& group, const LaunchSpec& spec) {
  if (spec.ports.empty()) return {};
  const auto has = guests_of(instance.ports), wanted = guests_of(spec.ports);
  if (has != wanted)
    return fmt::format("the guest's ports are {}, not {}", has.empty() ? "none" : fmt::to_string(fmt::join(has, ", ")),
                       fmt::join(wanted, ", "));
  if (!gives_ports(spec) || place_of(instance, group, spec)) return {};
  return "the host's ports are not those of the file";
}

/// Where it is; a name for a host that libvirt's configuration explains is not compared.
std::string host_unlike(const Instance& instance, const LaunchSpec& spec) {
  if (instance.driver != spec.driver) return unlike("driver", instance.driver, spec.driver);
  const bool is_uri = spec.connect.find("://") != std::string::npos;
  return is_uri ? unlike("connect", instance.connect, spec.connect) : "";
}

}  // namespace

LaunchSpec spec_of(const FleetGroup& group, const std::string& fleet) {
  LaunchSpec spec;
  spec.image = group.image;
  spec.name = group.name.find('#') == std::string::npos && group.count != 1 ? group.name + "-#" : group.name;
  spec.cpus = static_cast<unsigned>(group.cpus);
  const auto bytes = [&](const std::string& text, const char* setting) {
    const auto parsed = text.empty() ? std::optional(Bytes{0}) : parse_bytes(text);
    if (!parsed)
      throw invalid(fmt::format("\"{}\" of \"{}\" takes a size such as \"1G\", not \"{}\"", setting, group.name, text));
    return *parsed;
  };
  spec.memory = bytes(group.memory, "memory");
  spec.disk_size = bytes(group.disk_size, "disk_size").count;
  spec.disk_bus = group.disk_bus;
  spec.nic = group.nic;
  spec.network = group.network;
  spec.firmware = group.firmware;
  for (const std::string& port : group.ports) spec.ports.push_back(port_forward(port, "\"ports\""));
  for (const auto& file : group.ssh_keys)
    for (std::string& key : public_keys(file)) spec.ssh_keys.push_back(std::move(key));
  if (group.user_data) spec.user_data = read_text(*group.user_data, 1 << 20);
  spec.connect = group.connect;
  spec.driver = !group.driver.empty() ? group.driver : group.connect.empty() ? "qemu" : "libvirt";
  if (spec.driver != "qemu" && spec.driver != "libvirt")
    throw invalid(
        fmt::format("\"driver\" of \"{}\" takes \"qemu\" or \"libvirt\", not \"{}\"", group.name, spec.driver));
  if (spec.driver == "qemu" && !group.connect.empty())
    throw invalid(fmt::format("\"connect\" of \"{}\" names a host of libvirt", group.name),
                  "leave it out, or say driver = \"libvirt\"");
  spec.fleet = fleet + "/" + group.name;
  return spec;
}

bool gives_ports(const LaunchSpec& spec) {
  return std::ranges::any_of(spec.ports, [](const PortForward& port) { return port.host != 0; });
}

std::optional<std::int64_t> place_of(const Instance& instance, const FleetGroup& group, const LaunchSpec& spec) {
  std::optional<std::int64_t> place;
  for (const PortForward& given : spec.ports) {
    if (given.host == 0) continue;
    const auto is_it = [&](const PortForward& has) {
      const std::int64_t at = has.host - given.host;
      return has.guest == given.guest && at >= 0 && at < group.count && at == place.value_or(at);
    };
    const auto found = std::ranges::find_if(instance.ports, is_it);
    if (found == instance.ports.end()) return std::nullopt;
    place = found->host - given.host;
  }
  return place;
}

LaunchSpec at_place(LaunchSpec spec, std::int64_t place) {
  for (PortForward& port : spec.ports) {
    if (port.host == 0) continue;
    if (port.host + place > 65535)
      throw invalid(fmt::format("there are not {} ports from {} on", place + 1, port.host), "begin with a lower one");
    port.host = static_cast<std::uint16_t>(port.host + place);
  }
  return spec;
}

std::string difference(const Instance& instance, const FleetGroup& group, const LaunchSpec& spec) {
  const Hardware& has = instance.hardware;
  std::vector<std::string> all{host_unlike(instance, spec)};
  if (spec.memory.count != 0) all.push_back(unlike_in_size("memory", has.memory.count, spec.memory.count));
  if (spec.cpus != 0) all.push_back(unlike("cpus", std::to_string(has.cpus), std::to_string(spec.cpus)));
  if (spec.disk_size != 0 && instance.disk_size != 0)
    all.push_back(unlike_in_size("disk_size", instance.disk_size, spec.disk_size));
  if (!spec.disk_bus.empty()) all.push_back(unlike("disk_bus", to_text(has.disk_bus), spec.disk_bus));
  if (!spec.nic.empty()) all.push_back(unlike("nic", to_text(has.nic), spec.nic));
  if (!spec.network.empty()) all.push_back(unlike("network", network_text(has), spec.network));
  if (!spec.firmware.empty()) all.push_back(unlike("firmware", to_text(has.firmware), spec.firmware));
  all.push_back(ports_unlike(instance, group, spec));
  const auto first = std::ranges::find_if(all, [](const std::string& text) { return !text.empty(); });
  return first == all.end() ? "" : *first;
}

}  // namespace kiln::cli
