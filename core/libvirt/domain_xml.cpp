#include "libvirt/domain_xml.h"

#include <pugixml.hpp>
#include <sstream>

namespace kiln {
namespace {

using pugi::xml_node;

xml_node add(xml_node to, const char* name,
             std::initializer_list<std::pair<const char*, std::string>> attributes = {}) {
  xml_node node = to.append_child(name);
  for (const auto& [key, value] : attributes) node.append_attribute(key).set_value(value.c_str());
  return node;
}

void add_text(xml_node to, const char* name, const std::string& text) {
  to.append_child(name).text().set(text.c_str());
}

std::string text_of(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "  ", pugi::format_default | pugi::format_no_declaration);
  return out.str();
}

void add_origin(xml_node domain, const DomainSpec::Origin& origin) {
  xml_node note = add(add(domain, "metadata"), "kiln:instance", {{"xmlns:kiln", metadata_namespace}});
  add_text(note, "kiln:name", origin.instance);
  add(note, "kiln:image", {{"id", origin.image_id}}).text().set(origin.image.c_str());
  add_text(note, "kiln:home", origin.home);
  if (!origin.account.empty()) add_text(note, "kiln:account", origin.account);
}

void add_board(xml_node domain, const DomainSpec& spec) {
  const std::uint64_t mib = (spec.hardware.memory.count + (1u << 20) - 1) >> 20;
  add(domain, "memory", {{"unit", "MiB"}}).text().set(std::to_string(mib).c_str());
  add_text(domain, "vcpu", std::to_string(spec.hardware.cpus));
  xml_node os = add(domain, "os");
  const bool uefi = spec.hardware.firmware == Firmware::uefi;
  if (uefi) os.append_attribute("firmware").set_value("efi");
  add(os, "type", {{"arch", "x86_64"}, {"machine", "q35"}}).text().set("hvm");
  if (uefi) add(add(os, "firmware"), "feature", {{"enabled", "no"}, {"name", "secure-boot"}});
  add(os, "boot", {{"dev", "hd"}});
  if (!uefi) add(os, "bios", {{"useserial", "yes"}});  // "No bootable device" can be read there
  xml_node features = add(domain, "features");
  add(features, "acpi");
  add(features, "apic");
  add(domain, "cpu", {{"mode", spec.accelerator == "kvm" ? "host-passthrough" : "maximum"}});
  add(domain, "clock", {{"offset", "utc"}});
  add_text(domain, "on_poweroff", "destroy");
  add_text(domain, "on_reboot", "restart");
  add_text(domain, "on_crash", "destroy");
}

/// libvirt makes the controller that a bus needs, but chooses LSI's for SCSI: that few guests know.
void add_target(xml_node devices, xml_node disk, DiskBus bus) {
  if (bus == DiskBus::scsi) add(devices, "controller", {{"type", "scsi"}, {"model", "virtio-scsi"}});
  const bool virtio = bus == DiskBus::virtio;
  add(disk, "target", {{"dev", virtio ? "vda" : "sda"}, {"bus", std::string(to_text(bus))}});
}

void add_drives(xml_node devices, const DomainSpec& spec) {
  xml_node disk = add(devices, "disk", {{"type", "file"}, {"device", "disk"}});
  add(disk, "driver", {{"name", "qemu"}, {"type", "qcow2"}, {"discard", "unmap"}});
  add(disk, "source", {{"file", spec.disk}});
  xml_node base = add(disk, "backingStore", {{"type", "file"}});
  add(base, "format", {{"type", spec.base_format}});
  add(base, "source", {{"file", spec.base}});
  add(base, "backingStore");  // the end of the chain: nothing is looked for below
  add_target(devices, disk, spec.hardware.disk_bus);

  xml_node seed = add(devices, "disk", {{"type", "file"}, {"device", "disk"}});
  add(seed, "driver", {{"name", "qemu"}, {"type", "raw"}});
  add(seed, "source", {{"file", spec.seed}});
  add(seed, "backingStore");
  add(seed, "target", {{"dev", "vdb"}, {"bus", "virtio"}});
  add(seed, "readonly");
}

void add_network(xml_node devices, const DomainSpec& spec) {
  if (spec.hardware.nic == Nic::none) return;
  xml_node card = add(devices, "interface", {{"type", "user"}});
  if (!spec.mac.empty()) add(card, "mac", {{"address", spec.mac}});
  add(card, "model", {{"type", std::string(to_text(spec.hardware.nic))}});
}

void add_channels(xml_node devices, const DomainSpec& spec) {
  xml_node serial = add(devices, "serial", {{"type", "pty"}});
  add(serial, "log", {{"file", spec.serial_log}, {"append", "on"}});
  add(serial, "target", {{"type", "isa-serial"}, {"port", "0"}});
  add(add(devices, "console", {{"type", "pty"}}), "target", {{"type", "serial"}, {"port", "0"}});
  add(add(devices, "channel", {{"type", "unix"}}), "target", {{"type", "virtio"}, {"name", "org.qemu.guest_agent.0"}});
}

}  // namespace

std::string domain_xml(const DomainSpec& spec) {
  pugi::xml_document document;
  xml_node domain = add(document, "domain", {{"type", spec.accelerator == "kvm" ? "kvm" : "qemu"}});
  add_text(domain, "name", spec.name);
  add_text(domain, "uuid", spec.uuid);
  add_origin(domain, spec.origin);
  add_board(domain, spec);
  xml_node devices = add(domain, "devices");
  add_drives(devices, spec);
  add_network(devices, spec);
  add_channels(devices, spec);
  add(devices, "controller", {{"type", "usb"}, {"model", "none"}});
  add(add(devices, "video"), "model", {{"type", "none"}});
  add(add(devices, "rng", {{"model", "virtio"}}), "backend", {{"model", "random"}}).text().set("/dev/urandom");
  add(devices, "memballoon", {{"model", "none"}});
  return text_of(document);
}

std::string volume_xml(const VolumeSpec& spec) {
  pugi::xml_document document;
  xml_node volume = add(document, "volume");
  add_text(volume, "name", spec.name);
  add(volume, "capacity", {{"unit", "bytes"}}).text().set(std::to_string(spec.capacity).c_str());
  add_text(volume, "allocation", "0");
  xml_node target = add(volume, "target");
  add(target, "format", {{"type", spec.format}});
  if (spec.format == "qcow2") add_text(target, "compat", "1.1");
  if (!spec.base.empty()) {
    xml_node base = add(volume, "backingStore");
    add_text(base, "path", spec.base);
    add(base, "format", {{"type", spec.base_format}});
  }
  return text_of(document);
}

std::string pool_xml(const std::string& name, const std::string& folder) {
  pugi::xml_document document;
  xml_node pool = add(document, "pool", {{"type", "dir"}});
  add_text(pool, "name", name);
  xml_node target = add(pool, "target");
  add_text(target, "path", folder);
  // QEMU runs as another user than the daemon: it may pass, and opens what it was given.
  add_text(add(target, "permissions"), "mode", "0711");
  return text_of(document);
}

}  // namespace kiln
