#pragma once
// OVF packages as the vendors write them, and as they should not be.

#include <archive.h>
#include <archive_entry.h>

#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <kiln/hash.h>

namespace kiln::test {

/// A member to write. `change`: what else is to be said of it in its header.
struct TarMember {
  std::string name, content;
  std::function<void(archive_entry*)> change = {};
};

/// `kind`: archive_write_set_format_ustar and the like.
inline std::string tar_of(const std::vector<TarMember>& members,
                          int (*kind)(archive*) = archive_write_set_format_ustar) {
  std::size_t room = 1 << 20, used = 0;
  for (const TarMember& member : members) room += member.content.size() + 8192;
  std::string out(room, '\0');
  archive* a = archive_write_new();
  archive_entry* entry = archive_entry_new();
  kind(a);
  if (archive_write_open_memory(a, out.data(), out.size(), &used) != ARCHIVE_OK) throw std::runtime_error("no archive");
  for (const TarMember& member : members) {
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, member.name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(member.content.size()));
    if (member.change) member.change(entry);
    if (archive_write_header(a, entry) < ARCHIVE_WARN) throw std::runtime_error(archive_error_string(a));
    if (archive_entry_size(entry) > 0) archive_write_data(a, member.content.data(), member.content.size());
  }
  archive_entry_free(entry);
  archive_write_close(a);
  archive_write_free(a);
  out.resize(used);
  return out;
}

/// One with exactly one member, by libarchive's writer of zips.
inline std::string zip_of(const std::vector<TarMember>& members) {
  return tar_of(members, archive_write_set_format_zip);
}

/// Fills in "${NAME}".
inline std::string filled(std::string text, const std::map<std::string, std::string>& values) {
  for (const auto& [name, value] : values)
    for (std::size_t at; (at = text.find("${" + name + "}")) != std::string::npos;)
      text.replace(at, name.size() + 3, value);
  return text;
}

/// An OVF as VMware writes it, of ${FILES}, ${DISKS} and ${ITEMS}.
inline constexpr const char* vmware_ovf = R"(<?xml version="1.0" encoding="UTF-8"?>
<Envelope vmw:buildId="build-1" xmlns="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:vmw="http://www.vmware.com/schema/ovf"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References>${FILES}</References>
  <DiskSection><Info>Virtual disk information</Info>${DISKS}</DiskSection>
  <VirtualSystem ovf:id="web">
    <Info>A virtual machine</Info>
    <Name>web server</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian11_64Guest"><Info>The guest</Info>
      <Description>Debian GNU/Linux 11 (64-bit)</Description></OperatingSystemSection>
    <VirtualHardwareSection><Info>Virtual hardware requirements</Info>
      <Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
      <Item><rasd:Address>1</rasd:Address><rasd:InstanceID>4</rasd:InstanceID>
        <rasd:ResourceType>5</rasd:ResourceType></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>5</rasd:InstanceID>
        <rasd:ResourceType>5</rasd:ResourceType></Item>
      ${ITEMS}
      <Item><rasd:AddressOnParent>7</rasd:AddressOnParent><rasd:Connection>VM Network</rasd:Connection>
        <rasd:InstanceID>20</rasd:InstanceID><rasd:ResourceSubType>E1000e</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType></Item>
      ${CONFIG}
    </VirtualHardwareSection>${MORE}
  </VirtualSystem>
</Envelope>
)";

struct OvfDiskText {
  std::string href, id, capacity;
  std::string format = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
  std::string parent = "3", address = "0";
  std::string more = {}, more_of_file = {};
};

inline std::string ovf_of(const std::vector<OvfDiskText>& disks, std::map<std::string, std::string> more = {},
                          const char* text = vmware_ovf) {
  std::string files, sections, items;
  int number = 0;
  for (const OvfDiskText& d : disks) {
    const std::string id = "file" + std::to_string(++number);
    files += "<File ovf:id=\"" + id + "\" ovf:href=\"" + d.href + "\" " + d.more_of_file + "/>";
    sections += "<Disk ovf:diskId=\"" + d.id + "\" ovf:fileRef=\"" + id + "\" ovf:capacity=\"" + d.capacity +
                "\" ovf:format=\"" + d.format + "\" " + d.more + "/>";
    items += "<Item><rasd:AddressOnParent>" + d.address + "</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/" +
             d.id + "</rasd:HostResource><rasd:InstanceID>" + std::to_string(10 + number) +
             "</rasd:InstanceID><rasd:Parent>" + d.parent +
             "</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>";
  }
  for (const auto& [name, value] : {std::pair("FILES", files), {"DISKS", sections}, {"ITEMS", items}})
    more.try_emplace(name, value);
  more.try_emplace("CONFIG", "");
  more.try_emplace("MORE", "");
  return filled(text, more);
}

inline std::string digest_text(const std::string& content, Algorithm algorithm = Algorithm::sha256) {
  return Hasher(algorithm).update(content).hex();
}

}  // namespace kiln::test
