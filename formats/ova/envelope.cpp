#include "envelope.h"

#include <array>
#include <pugixml.hpp>
#include <sstream>

namespace kiln::ova {
namespace {

using pugi::xml_node;

xml_node add(xml_node parent, const char* name, const std::string& text = {}) {
  xml_node node = parent.append_child(name);
  if (!text.empty()) node.text() = text.c_str();
  return node;
}

void set(xml_node node, const char* name, const std::string& value) {
  node.append_attribute(name) = value.c_str();
}

/// A section with the sentence that each must begin with (DSP0243 9).
xml_node section(xml_node parent, const char* name, const char* info) {
  xml_node node = add(parent, name);
  add(node, "Info", info);
  return node;
}

/// CIM_OperatingSystem.OSType, and VMware's word. By words in what the system calls itself: only a hint to whoever
/// runs it, who can change it.
struct System {
  std::string_view word;
  const char *cim, *vmware;
};
constexpr std::array systems{System{"debian", "96", "debian10_64Guest"},
                             System{"ubuntu", "94", "ubuntu64Guest"},
                             System{"centos", "107", "centos8_64Guest"},
                             System{"red hat", "80", "rhel8_64Guest"},
                             System{"rhel", "80", "rhel8_64Guest"},
                             System{"oracle linux", "109", "oracleLinux8_64Guest"},
                             System{"suse", "85", "sles15_64Guest"},
                             System{"freebsd", "78", "freebsd12_64Guest"},
                             System{"windows", "112", "windows9Server64Guest"}};
constexpr System linux_system{"", "101", "otherLinux64Guest"};

const System& system_of(const std::string& os) {
  std::string lower(os);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const System& one : systems)
    if (lower.find(one.word) != std::string::npos) return one;
  return linux_system;
}

/// One Item of the hardware. Its fields are in the order of the schema, which is that of the alphabet.
struct Item {
  const char* type;  ///< CIM_ResourceAllocationSettingData.ResourceType
  std::string name, id;
  std::string address = {}, address_on_parent = {}, units = {}, automatic = {}, connection = {}, host_resource = {},
              parent = {}, subtype = {}, quantity = {};
};

void add_item(xml_node hardware, const Item& item) {
  xml_node node = add(hardware, "Item");
  const auto field = [&](const char* name, const std::string& text) {
    if (!text.empty()) add(node, name, text);
  };
  field("rasd:Address", item.address);
  field("rasd:AddressOnParent", item.address_on_parent);
  field("rasd:AllocationUnits", item.units);
  field("rasd:AutomaticAllocation", item.automatic);
  field("rasd:Connection", item.connection);
  field("rasd:ElementName", item.name);
  field("rasd:HostResource", item.host_resource);
  field("rasd:InstanceID", item.id);
  field("rasd:Parent", item.parent);
  field("rasd:ResourceSubType", item.subtype);
  field("rasd:ResourceType", item.type);
  field("rasd:VirtualQuantity", item.quantity);
}

void add_config(xml_node hardware, const char* key, const char* value) {
  xml_node node = add(hardware, "vmw:Config");
  set(node, "ovf:required", "false");
  set(node, "vmw:key", key);
  set(node, "vmw:value", value);
}

constexpr std::size_t sata_ports = 30, scsi_targets = 15, scsi_adapter = 7, first_drive = 5;

void add_drives(xml_node hardware, const Machine& machine, std::size_t disks) {
  if (machine.sata)
    add_item(hardware,
             {.type = "20", .name = "SATA controller 0", .id = "3", .address = "0", .subtype = "vmware.sata.ahci"});
  else
    add_item(hardware, {.type = "6", .name = "SCSI controller 0", .id = "3", .address = "0", .subtype = "lsilogic"});
  for (std::size_t i = 0; i < disks; ++i) {
    const std::size_t target = i + (!machine.sata && i >= scsi_adapter ? 1 : 0);  // the adapter is one of them itself
    const std::string number = std::to_string(i + 1);
    add_item(hardware, {.type = "17",
                        .name = "Hard disk " + number,
                        .id = std::to_string(first_drive + i),
                        .address_on_parent = std::to_string(target),
                        .host_resource = "ovf:/disk/vmdisk" + number,
                        .parent = "3"});
  }
}

void add_hardware(xml_node system, const Machine& machine, std::size_t disks) {
  xml_node hardware = section(system, "VirtualHardwareSection", "Virtual hardware requirements");
  xml_node family = add(hardware, "System");
  add(family, "vssd:ElementName", "Virtual Hardware Family");
  add(family, "vssd:InstanceID", "0");
  add(family, "vssd:VirtualSystemIdentifier", machine.name);
  add(family, "vssd:VirtualSystemType", "vmx-10");  // the first with SATA; VirtualBox takes any
  const std::string cpus = std::to_string(machine.cpus), memory = std::to_string(machine.memory);
  add_item(hardware,
           {.type = "3", .name = cpus + " virtual CPUs", .id = "1", .units = "hertz * 10^6", .quantity = cpus});
  add_item(hardware,
           {.type = "4", .name = memory + " MiB of memory", .id = "2", .units = "byte * 2^20", .quantity = memory});
  add_drives(hardware, machine, disks);
  add_item(hardware, {.type = "10",
                      .name = "Network adapter 1",
                      .id = "4",
                      .address_on_parent = "7",
                      .automatic = "true",
                      .connection = "VM Network",
                      .subtype = machine.nic});
  if (machine.uefi) add_config(hardware, "firmware", "efi");
  if (machine.secure) add_config(hardware, "bootOptions.efiSecureBootEnabled", "true");
}

void add_disks(xml_node root, const std::vector<DiskMember>& disks) {
  xml_node files = add(root, "References"), all = section(root, "DiskSection", "Virtual disks");
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    xml_node file = add(files, "File");
    set(file, "ovf:href", disks[i].name);
    set(file, "ovf:id", "file" + number);
    set(file, "ovf:size", std::to_string(disks[i].size));
    xml_node one = add(all, "Disk");
    set(one, "ovf:capacity", std::to_string(disks[i].capacity));
    set(one, "ovf:capacityAllocationUnits", "byte");
    set(one, "ovf:diskId", "vmdisk" + number);
    set(one, "ovf:fileRef", "file" + number);
    set(one, "ovf:format", "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized");
  }
}

void add_system(xml_node root, const Machine& machine, std::size_t disks) {
  xml_node system = add(root, "VirtualSystem");
  set(system, "ovf:id", machine.name);
  add(system, "Info", "A virtual machine");
  add(system, "Name", machine.name);
  const System& kind = system_of(machine.os);
  xml_node os = section(system, "OperatingSystemSection", "The guest operating system");
  set(os, "ovf:id", kind.cim);
  set(os, "vmw:osType", kind.vmware);
  if (!machine.os.empty()) add(os, "Description", machine.os);
  add_hardware(system, machine, disks);
}

}  // namespace

std::size_t most_disks(const Machine& machine) {
  return machine.sata ? sata_ports : scsi_targets;
}

std::string envelope(const Machine& machine, const std::vector<DiskMember>& disks) {
  pugi::xml_document document;
  xml_node declaration = document.append_child(pugi::node_declaration);
  set(declaration, "version", "1.0");
  set(declaration, "encoding", "UTF-8");
  xml_node root = document.append_child("Envelope");
  const std::string cim = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/";
  set(root, "xmlns", "http://schemas.dmtf.org/ovf/envelope/1");
  set(root, "xmlns:ovf", "http://schemas.dmtf.org/ovf/envelope/1");
  set(root, "xmlns:rasd", cim + "CIM_ResourceAllocationSettingData");
  set(root, "xmlns:vssd", cim + "CIM_VirtualSystemSettingData");
  set(root, "xmlns:vmw", "http://www.vmware.com/schema/ovf");
  add_disks(root, disks);
  xml_node network = add(section(root, "NetworkSection", "Networks"), "Network");
  set(network, "ovf:name", "VM Network");
  add(network, "Description", "The network of the machine");
  add_system(root, machine, disks.size());
  std::ostringstream text;
  document.save(text, "  ");
  return text.str();
}

}  // namespace kiln::ova
