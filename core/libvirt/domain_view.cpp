#include "libvirt/domain_view.h"

#include <cstdint>
#include <pugixml.hpp>
#include <string_view>

#include <kiln/text.h>

namespace kiln {
namespace {

using pugi::xml_node;

std::string bus_of(const std::string& bus) {
  return bus == "ide" ? "sata" : printable(bus, 64);
}

std::string format_of(const std::string& format) {
  if (format == "vpc") return "vhd";
  return format.empty() ? "raw" : format;  // what libvirt takes it for
}

std::string place_of(const xml_node& layer) {
  const std::string_view type = layer.attribute("type").value();
  if (type == "file") return layer.child("source").attribute("file").value();
  if (type == "block") return layer.child("source").attribute("dev").value();
  return "";
}

/// As long as all are files: a chain with something else in it cannot be read natively.
std::vector<DiskFile> layers_of(const xml_node& disk, const std::string& format) {
  std::vector<DiskFile> layers{{place_of(disk), format}};
  for (xml_node below = disk.child("backingStore"); below.child("source"); below = below.child("backingStore"))
    layers.push_back({place_of(below), format_of(below.child("format").attribute("type").value())});
  for (const DiskFile& layer : layers)
    if (layer.file.empty()) return {};
  return layers;
}

bool is_written_by_guest(const xml_node& disk) {
  const std::string_view device = disk.attribute("device").as_string("disk");
  return (device == "disk" || device == "lun") && !disk.child("readonly") && disk.child("source");
}

std::string firmware_of(const xml_node& os) {
  const xml_node loader = os.child("loader");
  if (std::string_view(loader.attribute("secure").value()) == "yes") return "secure";
  const bool uefi = std::string_view(os.attribute("firmware").value()) == "efi" ||
                    std::string_view(loader.attribute("type").value()) == "pflash";
  return uefi ? "uefi" : "bios";
}

std::uint64_t bytes_of(const xml_node& memory) {
  const std::string_view unit = memory.attribute("unit").as_string("KiB");  // all that libvirt itself writes
  const std::uint64_t number = memory.text().as_ullong();
  return unit == "b" || unit == "bytes" ? number
         : unit == "MiB"                ? number << 20
         : unit == "GiB"                ? number << 30
                                        : number << 10;
}

Facts facts_of(const xml_node& domain) {
  const xml_node cpus = domain.child("vcpu"), card = domain.child("devices").child("interface");
  const std::string nic = card ? card.child("model").attribute("type").as_string("") : "none";
  Facts facts{{"machine.cpus", printable(cpus.attribute("current").as_string(cpus.text().as_string("1")), 16)},
              {"machine.memory", std::to_string(bytes_of(domain.child("memory")))},
              {"boot.firmware", firmware_of(domain.child("os"))}};
  if (!nic.empty()) facts["machine.nic"] = printable(nic, 64);
  return facts;
}

}  // namespace

DomainView view_of(const std::string& xml) {
  pugi::xml_document document;
  const xml_node domain = document.load_string(xml.c_str()) ? document.child("domain") : xml_node();
  if (!domain) throw Error("libvirt describes a domain in a way that cannot be read");
  DomainView view;
  view.name = domain.child("name").text().as_string();
  view.uuid = domain.child("uuid").text().as_string();
  view.facts = facts_of(domain);
  const xml_node vars = domain.child("os").child("nvram");
  const std::string_view vars_format = vars.attribute("format").as_string("raw");
  if (vars_format == "raw") view.vars = vars.child("source") ? place_of(vars) : vars.text().as_string();
  for (const xml_node& disk : domain.child("devices").children("disk")) {
    const std::string target = disk.child("target").attribute("dev").value();
    if (!is_written_by_guest(disk)) {
      view.untouched.push_back(target);
      continue;
    }
    const std::string format = format_of(disk.child("driver").attribute("type").value());
    view.disks.push_back({.target = target,
                          .bus = bus_of(disk.child("target").attribute("bus").value()),
                          .format = format,
                          .layers = layers_of(disk, format),
                          .is_file = std::string_view(disk.attribute("type").value()) == "file"});
  }
  if (!view.disks.empty() && !view.disks.front().bus.empty()) view.facts["machine.disk_bus"] = view.disks.front().bus;
  for (const xml_node& channel : domain.child("devices").children("channel"))
    if (std::string_view(channel.child("target").attribute("name").value()) == "org.qemu.guest_agent.0")
      view.has_agent = true;
  return view;
}

}  // namespace kiln
