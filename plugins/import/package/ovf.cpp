#include "package/ovf.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include <kiln/finding.h>
#include <kiln/text.h>

#include "package/ovf_hardware.h"
#include "package/tar.h"
#include "package/xml.h"

namespace kiln::import {
namespace {

constexpr std::size_t most_files = 1000, most_disks = 64, longest_fact = 200;

Error unsupported(const File& file, const std::string& what, const std::string& hint, const std::string& proof) {
  return refused(file.path().string() + " " + what, hint, {proof}).as(code::unsupported);
}

OvfFile file_in(const pugi::xml_node& node, const File& ovf) {
  OvfFile out{.id = attribute(node, "id"), .href = attribute(node, "href"), .size = {}};
  if (!is_plain_name(out.href) || out.href.find(':') != std::string::npos)
    throw refused(ovf.path().string() + " names a file that is not of its package",
                  "ask whoever made it for a package that is whole", {"References, File: href " + in_quotes(out.href)})
        .as(code::external_extent);
  const std::string size = attribute(node, "size"), packed = lower(attribute(node, "compression"));
  if (!size.empty() && !(out.size = number_of(size)))
    throw damaged(ovf, "References, File " + in_quotes(out.href) + ": size " + in_quotes(size));
  if (const std::string chunk = attribute(node, "chunkSize"); !chunk.empty())
    throw unsupported(ovf, "has a file in chunks", "put the chunks together, or export it as one file",
                      "References, File " + in_quotes(out.href) + ": chunkSize " + in_quotes(chunk));
  if (!packed.empty() && packed != "gzip" && packed != "identity")
    throw unsupported(ovf, "has a file that is compressed in a way that kiln does not know",
                      "export it without compression",
                      "References, File " + in_quotes(out.href) + ": compression " + in_quotes(packed));
  out.gzip = packed == "gzip";
  return out;
}

std::vector<OvfFile> files_of(pugi::xml_node envelope, const File& ovf) {
  std::vector<OvfFile> files;
  std::set<std::string> ids, hrefs;
  for (const pugi::xml_node& references : children(envelope, "References"))
    for (const pugi::xml_node& node : children(references, "File")) {
      OvfFile one = file_in(node, ovf);
      if (files.size() == most_files)
        throw damaged(ovf, "References: more than " + std::to_string(most_files) + " files");
      if (!ids.insert(one.id).second) throw damaged(ovf, "References: two files have the id " + in_quotes(one.id));
      if (!hrefs.insert(one.href).second) throw damaged(ovf, "References: " + in_quotes(one.href) + " is there twice");
      if (one.href == ovf.path().filename().string())
        throw refused(ovf.path().string() + " names itself as a file of the machine", "ask whoever made it",
                      {"References, File: href " + in_quotes(one.href)})
            .as(code::external_extent);
      files.push_back(std::move(one));
    }
  return files;
}

/// The addresses by which vendors name formats; oVirt's own word goes before, as its addresses are often wrong.
std::string format_of(const pugi::xml_node& disk) {
  const std::string own = lower(attribute(disk, "volume-format"));
  if (own == "raw") return "raw";
  if (own == "cow") return "qcow2";
  constexpr std::array<std::pair<std::string_view, const char*>, 8> marks{{{"vmdk", "vmdk"},
                                                                           {"qcow", "qcow2"},
                                                                           {"vhdx", "vhdx"},
                                                                           {"vhd", "vhd"},
                                                                           {"linkid=137171", "vhd"},
                                                                           {"vdi", "vdi"},
                                                                           {"wiki/byte", "raw"},
                                                                           {"wiki/raw", "raw"}}};
  const std::string address = lower(attribute(disk, "format"));
  for (const auto& [mark, name] : marks)
    if (address.find(mark) != std::string::npos) return name;
  return {};
}

void read_capacity(OvfDisk& out, const pugi::xml_node& node, const File& ovf) {
  std::string text = attribute(node, "capacity"), units = attribute(node, "capacityAllocationUnits");
  if (text.empty()) {  // as oVirt has it in OVF 0.9: in GiB
    text = attribute(node, "size");
    units = "byte * 2^30";
  }
  if (text.empty()) return;
  const std::string where = "DiskSection, Disk " + in_quotes(out.id) + ": capacity " + in_quotes(text);
  if (text.starts_with("${"))
    throw unsupported(ovf, "has a disk of a size that is to be chosen", "export it with a size", where);
  const auto count = number_of(text), unit = units.empty() ? std::uint64_t{1} : unit_of(units);
  if (!count || !unit || *count > INT64_MAX / *unit)
    throw damaged(ovf, where + ", units " + in_quotes(units), code::invalid_size);
  out.capacity = *count * *unit;
  out.unit = *unit;
}

OvfDisk disk_in(const pugi::xml_node& node, const std::vector<OvfFile>& files, const File& ovf) {
  OvfDisk out{.id = attribute(node, "diskId"), .file = {}, .format = format_of(node)};
  const std::string reference = attribute(node, "fileRef"), where = "DiskSection, Disk " + in_quotes(out.id);
  if (const std::string parent = attribute(node, "parentRef"); !parent.empty())
    throw refused(ovf.path().string() + " has a disk that is a difference to another one", "export it as one disk",
                  {where + ": parentRef " + in_quotes(parent)})
        .as(code::parent_needed);
  read_capacity(out, node, ovf);
  if (!reference.empty()) {
    auto file = std::ranges::find(files, reference, &OvfFile::id);
    if (file == files.end()) file = std::ranges::find(files, reference, &OvfFile::href);
    if (file == files.end()) throw damaged(ovf, where + ": fileRef " + in_quotes(reference) + " is no file");
    out.file = *file;
  } else if (out.capacity == 0) {
    throw damaged(ovf, where + ": neither a file nor a capacity", code::invalid_size);
  }
  return out;
}

struct Disks {
  std::vector<OvfDisk> all;
  std::size_t boot = SIZE_MAX;  ///< oVirt says which
};

Disks disks_of(pugi::xml_node envelope, const std::vector<OvfFile>& files, const File& ovf) {
  Disks out;
  std::set<std::string> ids, used;
  for (const pugi::xml_node& section : sections(envelope, "DiskSection"))
    for (const pugi::xml_node& node : children(section, "Disk")) {
      OvfDisk disk = disk_in(node, files, ovf);
      if (out.all.size() == most_disks)
        throw damaged(ovf, "DiskSection: more than " + std::to_string(most_disks) + " disks");
      if (!ids.insert(disk.id).second) throw damaged(ovf, "DiskSection: two disks have the id " + in_quotes(disk.id));
      if (disk.file && !used.insert(disk.file->href).second)
        throw damaged(ovf, "DiskSection: two disks have the file " + in_quotes(disk.file->href), code::overlap);
      if (lower(attribute(node, "boot")) == "true" && out.boot == SIZE_MAX) out.boot = out.all.size();
      out.all.push_back(std::move(disk));
    }
  if (out.all.empty()) throw damaged(ovf, "DiskSection: there is no disk");
  return out;
}

pugi::xml_node system_of(pugi::xml_node envelope, const File& ovf) {
  std::vector<pugi::xml_node> systems, collections{envelope};
  while (!collections.empty()) {
    const pugi::xml_node in = collections.back();
    collections.pop_back();
    std::ranges::copy(sections(in, "VirtualSystem"), std::back_inserter(systems));
    std::ranges::copy(sections(in, "VirtualSystemCollection"), std::back_inserter(collections));
  }
  if (systems.size() > 1)
    throw unsupported(
        ovf, "describes " + std::to_string(systems.size()) + " machines", "export each on its own",
        "VirtualSystem " + in_quotes(attribute(systems[0], "id")) + " and " + in_quotes(attribute(systems[1], "id")));
  if (systems.empty()) throw damaged(ovf, "it describes no machine: there is no VirtualSystem");
  return systems.front();
}

/// "ovf:/disk/ID" and "/disk/ID" (DSP0243 8.3); oVirt has "GROUP/ID" and means the file.
std::size_t disk_named(const std::string& resource, const std::vector<OvfDisk>& disks, const File& ovf) {
  const std::string id = resource.substr(resource.rfind('/') + 1);
  if (resource.find("/file/") != std::string::npos)
    throw unsupported(ovf, "has a drive that is a file without a disk", "export it with a DiskSection",
                      "VirtualHardwareSection, Item: HostResource " + in_quotes(resource));
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const auto& file = disks[i].file;
    if (disks[i].id == id || (file && (file->href == id || file->id == resource))) return i;
  }
  throw damaged(ovf, "VirtualHardwareSection, Item: HostResource " + in_quotes(resource) + " is no disk");
}

/// The disks of the machine in its own order. One that no drive has is not of the machine; without drives all are.
void order_disks(Ovf& out, Disks disks, const std::vector<std::string>& resources, const File& ovf) {
  std::vector<std::size_t> order;
  for (const std::string& resource : resources) {
    const std::size_t disk = disk_named(resource, disks.all, ovf);
    if (std::ranges::find(order, disk) != order.end())
      throw damaged(ovf, "VirtualHardwareSection: two drives have the disk " + in_quotes(disks.all[disk].id),
                    code::overlap);
    order.push_back(disk);
  }
  for (std::size_t i = 0; i < disks.all.size(); ++i) {
    if (std::ranges::find(order, i) != order.end()) continue;
    if (resources.empty())
      order.push_back(i);
    else
      out.findings.push_back({.code = std::string(code::unsupported),
                              .severity = Severity::note,
                              .what = "a disk of the OVF is in no drive of the machine, and is left out",
                              .evidence = {"DiskSection, Disk " + in_quotes(disks.all[i].id)}});
  }
  if (const auto boot = std::ranges::find(order, disks.boot); boot != order.end())
    std::rotate(order.begin(), boot, boot + 1);
  for (const std::size_t i : order) out.disks.push_back(std::move(disks.all[i]));
}

std::string default_configuration(pugi::xml_node envelope) {
  std::string first;
  for (const pugi::xml_node& section : sections(envelope, "DeploymentOptionSection"))
    for (const pugi::xml_node& one : children(section, "Configuration")) {
      if (lower(attribute(one, "default")) == "true" || attribute(one, "default") == "1") return attribute(one, "id");
      if (first.empty()) first = attribute(one, "id");
    }
  return first;
}

void add_fact(Facts& facts, const char* name, const std::string& text) {
  if (!text.empty()) facts[name] = printable(text, longest_fact);
}

}  // namespace

bool is_xml(const File& file) {
  std::array<std::byte, 256> head{};
  const std::size_t got = file.read_some(0, head);
  std::string plain;  // UTF-16 without its zeros, and without a byte order mark, reads the same
  for (std::size_t i = 0; i < got; ++i) {
    const auto c = std::to_integer<unsigned char>(head[i]);
    if (c >= 0x20 && c < 0x7f) plain += static_cast<char>(c);
  }
  const std::size_t start = std::min(plain.find_first_not_of(' '), plain.size());
  return plain.compare(start, 5, "<?xml") == 0 || plain.compare(start, 9, "<Envelope") == 0 ||
         plain.compare(start, 13, "<ovf:Envelope") == 0;
}

Ovf parse_ovf(const File& file) {
  const pugi::xml_document document = parse_xml(file);
  const pugi::xml_node envelope = document.document_element();
  if (!is_called(envelope.name(), "Envelope"))
    throw damaged(file, "it is no OVF: the document is a " + in_quotes(envelope.name()));
  Ovf out;
  for (const pugi::xml_attribute& space : envelope.attributes())
    out.ovirt = out.ovirt || std::string_view(space.value()).find("ovirt.org") != std::string_view::npos;
  out.files = files_of(envelope, file);
  Disks disks = disks_of(envelope, out.files, file);
  out.ovirt = out.ovirt || disks.boot != SIZE_MAX;
  const pugi::xml_node system = system_of(envelope, file);
  const std::vector<pugi::xml_node> hardware = sections(system, "VirtualHardwareSection");
  Hardware machine;
  if (!hardware.empty()) machine = hardware_of(hardware.front(), default_configuration(envelope), file);
  out.facts = std::move(machine.facts);
  out.findings = std::move(machine.findings);
  order_disks(out, std::move(disks), machine.disks, file);
  const std::string name = text_of(system, "Name");
  add_fact(out.facts, "origin.name", name.empty() ? attribute(system, "id") : name);
  for (const pugi::xml_node& os : sections(system, "OperatingSystemSection"))
    add_fact(out.facts, "origin.os", text_of(os, "Description"));
  add_fact(out.facts, "boot.firmware", firmware_of(system));
  return out;
}

}  // namespace kiln::import
