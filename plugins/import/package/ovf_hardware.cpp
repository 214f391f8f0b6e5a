#include "package/ovf_hardware.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include <kiln/finding.h>

namespace kiln::import {
namespace {

constexpr std::size_t most_items = 4096;
constexpr std::uint64_t last = std::numeric_limits<std::uint64_t>::max();

// CIM_ResourceAllocationSettingData.ResourceType
constexpr std::uint64_t processor = 3, memory = 4, ide = 5, scsi = 6, ethernet = 10, disk = 17, other_storage = 20;

struct Item {
  pugi::xml_node node;
  std::uint64_t type = 0;
  std::size_t position = 0;

  std::string text(std::string_view name) const { return text_of(node, name); }
  std::uint64_t number(std::string_view name, std::uint64_t fallback) const {
    return number_of(text(name)).value_or(fallback);
  }
};

bool is_controller(const Item& item) {
  return item.type == ide || item.type == scsi || item.type == other_storage;
}

/// OVF 2 has elements of their own for disks and network cards, with the same fields. Items of another configuration
/// than the default one, and those that are bounds of a range, are no hardware of this machine (DSP0243 8.4, 9.8).
std::vector<Item> items_of(pugi::xml_node section, const std::string& configuration, const File& file) {
  std::vector<Item> items;
  for (const pugi::xml_node& node : section.children()) {
    const bool item = is_called(node.name(), "Item") || is_called(node.name(), "StorageItem") ||
                      is_called(node.name(), "EthernetPortItem");
    if (!item || !attribute(node, "bound").empty()) continue;
    const std::string only = ' ' + attribute(node, "configuration") + ' ';
    if (only != "  " && only.find(' ' + configuration + ' ') == std::string::npos) continue;
    if (items.size() == most_items)
      throw damaged(file, "VirtualHardwareSection: more than " + std::to_string(most_items) + " items");
    items.push_back({node, number_of(text_of(node, "ResourceType")).value_or(0), items.size()});
  }
  return items;
}

/// Where a disk hangs. Kinds of controllers count in the order in which the OVF has them, those of one kind by their
/// address: VMware writes the second IDE controller before the first.
using Place = std::tuple<std::size_t, std::uint64_t, std::uint64_t, std::uint64_t, std::size_t>;

const Item* controller_of(const Item& one, const std::vector<Item>& items) {
  const std::string parent = one.text("Parent");
  const auto found = std::ranges::find_if(
      items, [&](const Item& c) { return is_controller(c) && !parent.empty() && c.text("InstanceID") == parent; });
  return found == items.end() ? nullptr : &*found;
}

Place place_of(const Item& one, const std::vector<Item>& items) {
  const std::uint64_t address = one.number("AddressOnParent", last);
  const Item* parent = controller_of(one, items);
  if (parent == nullptr) return {items.size(), one.number("BootOrder", last), 0, address, one.position};
  const auto kind = std::ranges::find(items, parent->type, &Item::type);
  return {kind->position, parent->number("Address", last), parent->number("InstanceID", last), address, one.position};
}

/// The system disk's bus, where the system is sure to have a driver for it and kiln has that bus.
std::string bus_of(const Item& one, const std::vector<Item>& items) {
  const Item* controller = controller_of(one, items);
  if (controller == nullptr) return {};
  const std::string kind = lower(controller->text("ResourceSubType"));
  if (kind.find("virtio") != std::string::npos) return controller->type == scsi ? "scsi" : "virtio";
  if (kind.find("nvme") != std::string::npos) return "nvme";
  const bool sata = kind.find("ahci") != std::string::npos || kind.find("sata") != std::string::npos;
  return sata || controller->type == ide ? "sata" : "";
}

/// By the vendors' words; oVirt has numbers. What kiln has no card for is left to the launch.
std::string nic_of(const std::string& subtype) {
  const std::string kind = lower(subtype);
  if (kind == "e1000" || kind == "2" || kind.starts_with("8254")) return "e1000";
  if (kind == "e1000e") return "e1000e";
  if (kind == "virtio" || kind == "virtio-net" || kind == "3") return "virtio";
  if (kind == "rtl8139" || kind == "1") return "rtl8139";
  return {};
}

std::uint64_t cpus_of(const Item& item) {
  const std::uint64_t sockets = item.number("num_of_sockets", 0);
  if (const auto given = number_of(item.text("VirtualQuantity")); given || sockets > 255) return given.value_or(0);
  const std::uint64_t cores = std::min<std::uint64_t>(item.number("cpu_per_socket", 1), 256);
  return sockets * cores * std::min<std::uint64_t>(item.number("threads_per_cpu", 1), 256);
}

Finding not_taken(const std::string& what, const std::string& text) {
  return {.code = std::string(code::unsupported),
          .severity = Severity::warning,
          .what = "the OVF's " + what + " cannot be read, so the launch decides",
          .evidence = {in_quotes(text)}};
}

void add_facts(Hardware& out, const Item& item) {
  if (item.type == processor && !out.facts.contains("machine.cpus")) {
    if (const std::uint64_t cpus = cpus_of(item); cpus > 0 && cpus <= 255)
      out.facts["machine.cpus"] = std::to_string(cpus);
    else
      out.findings.push_back(not_taken("number of processors", item.text("VirtualQuantity")));
  }
  if (item.type == memory && !out.facts.contains("machine.memory")) {
    const std::string quantity = item.text("VirtualQuantity"), units = item.text("AllocationUnits");
    const auto count = number_of(quantity), unit = units.empty() ? std::uint64_t{1} << 20 : unit_of(units);
    if (count && unit && *count > 0 && *count <= (std::uint64_t{1} << 46) / *unit)
      out.facts["machine.memory"] = std::to_string(*count * *unit);
    else
      out.findings.push_back(not_taken("memory", quantity + " " + units));
  }
  if (item.type == ethernet && !out.facts.contains("machine.nic"))
    if (const std::string nic = nic_of(item.text("ResourceSubType")); !nic.empty()) out.facts["machine.nic"] = nic;
}

bool is_true(const std::string& text) {
  return lower(text) == "true" || text == "1";
}

}  // namespace

Hardware hardware_of(pugi::xml_node section, const std::string& configuration, const File& file) {
  const std::vector<Item> items = items_of(section, configuration, file);
  Hardware out;
  std::vector<std::pair<Place, const Item*>> disks;
  for (const Item& item : items) {
    add_facts(out, item);
    if (item.type == disk) disks.emplace_back(place_of(item, items), &item);
  }
  std::ranges::sort(disks);
  for (const auto& [place, item] : disks) out.disks.push_back(item->text("HostResource"));
  if (disks.empty()) return out;
  if (const std::string bus = bus_of(*disks.front().second, items); !bus.empty()) out.facts["machine.disk_bus"] = bus;
  return out;
}

std::string firmware_of(pugi::xml_node system) {
  std::string firmware;
  bool secure = false;
  for (const pugi::xml_node& section : sections(system, "VirtualHardwareSection"))
    for (const char* config : {"Config", "ExtraConfig"})  // VMware, in its namespace "vmw"
      for (const pugi::xml_node& node : children(section, config)) {
        const std::string key = lower(attribute(node, "key")), value = lower(attribute(node, "value"));
        if (key == "firmware") firmware = value == "efi" ? "uefi" : value == "bios" ? "bios" : firmware;
        if (key.ends_with("efisecurebootenabled")) secure = is_true(value);
      }
  const pugi::xml_node vbox = child(child(child(system, "Machine"), "Hardware"), "Firmware");  // VirtualBox
  if (const std::string type = lower(attribute(vbox, "type")); !type.empty())
    firmware = type.starts_with("efi") ? "uefi" : "bios";
  // oVirt's BiosType: 1 and 2 have SeaBIOS, 3 has OVMF, 4 has OVMF with Secure Boot; 0 is the cluster's default.
  if (const auto type = number_of(text_of(system, "BiosType")); type && *type >= 1 && *type <= 4) {
    firmware = *type <= 2 ? "bios" : "uefi";
    secure = *type == 4;
  }
  return firmware == "uefi" && secure ? "secure" : firmware;
}

}  // namespace kiln::import
