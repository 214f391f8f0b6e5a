#include "libvirt/storage.h"

#include <libvirt/virterror.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <pugixml.hpp>

namespace kiln {
namespace {

/// Where libvirt itself would put disks. The folders of another host's user are not known here.
std::string usual_folder(const std::string& uri) {
  const std::size_t authority = uri.find("://"), path = authority == std::string::npos ? 0 : authority + 3;
  const bool is_local = uri.compare(path, 1, "/") == 0;
  const std::string daemon = uri.substr(std::min(uri.find('/', path), uri.size()), std::string("/session").size());
  if (daemon.starts_with("/system")) return "/var/lib/libvirt/images/kiln";
  if (daemon == "/session" && is_local) {
    const char* data = std::getenv("XDG_DATA_HOME");
    if (data != nullptr && *data == '/') return std::string(data) + "/libvirt/images/kiln";
    const char* home = std::getenv("HOME");
    if (home != nullptr && *home == '/') return std::string(home) + "/.local/share/libvirt/images/kiln";
  }
  throw Error("there is no storage pool \"kiln\" on " + uri + ", and no usual place for one",
              "make one there: virsh -c '" + uri + "' pool-define-as kiln dir --target FOLDER");
}

PoolHandle make_pool(virConnectPtr connection, const std::string& uri) {
  const std::string xml = pool_xml(Storage::pool_name, usual_folder(uri));
  PoolHandle pool(virStoragePoolDefineXML(connection, xml.c_str(), 0));
  if (!pool) {
    const Error error = libvirt_error("cannot make the storage pool \"kiln\" on " + uri);
    pool.reset(virStoragePoolLookupByName(connection, Storage::pool_name));  // another kiln may have been faster
    if (!pool) throw error;
    return pool;
  }
  if (virStoragePoolBuild(pool.get(), 0) != 0) {
    const Error error = libvirt_error("cannot make the folder of the storage pool \"kiln\" on " + uri,
                                      "define a pool \"kiln\" there in a folder that can be written");
    virStoragePoolUndefine(pool.get());
    throw error;
  }
  virStoragePoolSetAutostart(pool.get(), 1);
  return pool;
}

Volume describe(virStorageVolPtr volume) {
  const std::unique_ptr<char, Freed<free>> xml(virStorageVolGetXMLDesc(volume, 0));
  pugi::xml_document document;
  if (!xml || !document.load_string(xml.get())) throw libvirt_error("cannot look at a volume");
  const pugi::xml_node root = document.child("volume"), target = root.child("target");
  return {root.child_value("name"), target.child_value("path"), target.child("format").attribute("type").as_string(),
          root.child("capacity").text().as_ullong(), target.child("timestamps").child("mtime").text().as_llong()};
}

/// One that was removed meanwhile is none.
bool is_gone() {
  return last_libvirt_error() == VIR_ERR_NO_STORAGE_VOL;
}

}  // namespace

Storage::Storage(std::shared_ptr<Connection> connection, const std::string& uri) : connection_(std::move(connection)) {
  pool_.reset(virStoragePoolLookupByName(connection_->get(), pool_name));
  if (!pool_) {
    if (last_libvirt_error() != VIR_ERR_NO_STORAGE_POOL) throw libvirt_error("cannot use the storage of " + uri);
    pool_ = make_pool(connection_->get(), uri);
  }
  // Two kilns may start it at once: only what it is afterwards counts.
  if (virStoragePoolIsActive(pool_.get()) != 1 && virStoragePoolCreate(pool_.get(), 0) != 0) {
    const Error error = libvirt_error("cannot start the storage pool \"kiln\" on " + uri);
    if (virStoragePoolIsActive(pool_.get()) != 1) throw error;
  }
}

std::vector<Volume> Storage::volumes() const {
  virStorageVolPtr* list = nullptr;
  const int count = virStoragePoolListAllVolumes(pool_.get(), &list, 0);
  if (count < 0) throw libvirt_error("cannot list the volumes of the storage pool \"kiln\"");
  std::vector<VolumeHandle> handles;
  for (int i = 0; i < count; ++i) handles.emplace_back(list[i]);
  std::free(list);
  std::vector<Volume> volumes;
  for (const VolumeHandle& handle : handles) try {
      volumes.push_back(describe(handle.get()));
    } catch (const Error&) {
      if (!is_gone()) throw;
    }
  return volumes;
}

VolumeHandle Storage::open(const std::string& name) const {
  VolumeHandle volume(virStorageVolLookupByName(pool_.get(), name.c_str()));
  if (!volume) throw libvirt_error("there is no volume " + name);
  return volume;
}

std::optional<Volume> Storage::find(const std::string& name) const {
  const VolumeHandle volume(virStorageVolLookupByName(pool_.get(), name.c_str()));
  if (volume) return describe(volume.get());
  if (is_gone()) return std::nullopt;
  throw libvirt_error("cannot look for the volume " + name);
}

std::string Storage::create(const VolumeSpec& spec) const {
  const VolumeHandle volume(virStorageVolCreateXML(pool_.get(), volume_xml(spec).c_str(), 0));
  if (!volume) throw libvirt_error("cannot make the volume " + spec.name);
  return describe(volume.get()).path;
}

std::string Storage::create_copy(const VolumeSpec& spec, const std::string& of) const {
  const VolumeHandle source = open(of);
  const VolumeHandle volume(virStorageVolCreateXMLFrom(pool_.get(), volume_xml(spec).c_str(), source.get(), 0));
  if (!volume) throw libvirt_error("cannot copy the volume " + of);
  return describe(volume.get()).path;
}

void Storage::remove(const std::string& name) const {
  const VolumeHandle volume(virStorageVolLookupByName(pool_.get(), name.c_str()));
  if ((!volume || virStorageVolDelete(volume.get(), 0) != 0) && !is_gone())
    throw libvirt_error("cannot remove the volume " + name);
}

std::string Storage::read_end(const std::string& name, std::uint64_t last_bytes) const {
  const VolumeHandle volume = open(name);
  virStorageVolInfo info{};
  if (virStorageVolGetInfo(volume.get(), &info) != 0) throw libvirt_error("cannot look at the volume " + name);
  const StreamHandle stream(virStreamNew(connection(), 0));
  const std::uint64_t from = info.capacity > last_bytes ? info.capacity - last_bytes : 0;
  if (!stream || virStorageVolDownload(volume.get(), stream.get(), from, info.capacity - from, 0) != 0)
    throw libvirt_error("cannot read the volume " + name);
  std::string text;
  std::array<char, 65536> part;
  for (int n = 0; (n = virStreamRecv(stream.get(), part.data(), part.size())) != 0;) {
    if (n < 0) throw libvirt_error("cannot read the volume " + name);
    text.append(part.data(), static_cast<std::size_t>(n));
  }
  if (virStreamFinish(stream.get()) != 0) throw libvirt_error("cannot read the volume " + name);
  return text;
}

}  // namespace kiln
