#include "libvirt/domain_backup.h"

#include <libvirt/virterror.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <pugixml.hpp>
#include <sstream>

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using CheckpointHandle = std::unique_ptr<virDomainCheckpoint, Freed<virDomainCheckpointFree>>;
constexpr std::size_t longest_socket = 107;  // unix(7), sun_path without its end

std::string text_of(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "  ", pugi::format_default | pugi::format_no_declaration);
  return out.str();
}

void set(pugi::xml_node node, const char* name, const std::string& value) {
  node.append_attribute(name).set_value(value.c_str());
}

void add_disk(pugi::xml_node disks, const BackupDisk& disk) {
  pugi::xml_node node = disks.append_child("disk");
  set(node, "name", disk.target);
  set(node, "backup", "yes");
  set(node, "type", "file");
  set(node, "exportname", disk.target);
  set(node, "backupmode", disk.since.empty() ? "full" : "incremental");
  if (!disk.since.empty()) {
    set(node, "incremental", disk.since);
    set(node, "exportbitmap", DomainBackup::bitmap_of(disk.target));
  }
  set(node.append_child("scratch"), "file", disk.scratch);
}

std::filesystem::path make_folder(const std::filesystem::path& parent) {
  std::string folder = std::filesystem::absolute(parent) / "kiln-XXXXXX";
  // Passed through by who knows the name of what is in it, listed by nobody else, and what is there is its maker's.
  constexpr mode_t mode = S_ISVTX | 0733;
  if (::mkdtemp(folder.data()) == nullptr || ::chmod(folder.c_str(), mode) != 0)
    throw system_error("cannot make a folder in " + parent.string(), errno);
  return folder;
}

}  // namespace

std::string backup_xml(const BackupPlan& plan) {
  pugi::xml_document document;
  pugi::xml_node backup = document.append_child("domainbackup");
  set(backup, "mode", "pull");
  pugi::xml_node server = backup.append_child("server");
  set(server, "transport", "unix");
  set(server, "socket", plan.socket);
  pugi::xml_node disks = backup.append_child("disks");
  for (const BackupDisk& disk : plan.disks) add_disk(disks, disk);
  for (const std::string& target : plan.untouched) {
    pugi::xml_node node = disks.append_child("disk");
    set(node, "name", target);
    set(node, "backup", "no");
  }
  return text_of(document);
}

std::string checkpoint_xml(const BackupPlan& plan) {
  if (plan.checkpoint.empty() || std::ranges::none_of(plan.disks, &BackupDisk::noted)) return "";
  pugi::xml_document document;
  pugi::xml_node checkpoint = document.append_child("domaincheckpoint");
  checkpoint.append_child("name").text().set(plan.checkpoint.c_str());
  checkpoint.append_child("description").text().set("kiln's: tells a next capture what has changed");
  pugi::xml_node disks = checkpoint.append_child("disks");
  const auto add = [&](const std::string& target, bool noted) {
    pugi::xml_node node = disks.append_child("disk");
    set(node, "name", target);
    set(node, "checkpoint", noted ? "bitmap" : "no");
  };
  for (const BackupDisk& disk : plan.disks) add(disk.target, disk.noted);
  for (const std::string& target : plan.untouched) add(target, false);
  return text_of(document);
}

std::vector<std::string> checkpoints_of(virDomainPtr domain) {
  virDomainCheckpointPtr* list = nullptr;
  const int count = virDomainListAllCheckpoints(domain, &list, 0);
  if (count < 0) return {};  // a libvirt that has none
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    const CheckpointHandle checkpoint(list[i]);
    const std::string name = virDomainCheckpointGetName(checkpoint.get());
    if (name.starts_with("kiln-")) names.push_back(name);
  }
  std::free(list);
  std::ranges::sort(names);
  return names;
}

void remove_checkpoint(virDomainPtr domain, const std::string& name) {
  const CheckpointHandle checkpoint(virDomainCheckpointLookupByName(domain, name.c_str(), 0));
  if (checkpoint && virDomainCheckpointDelete(checkpoint.get(), 0) != 0)
    virDomainCheckpointDelete(checkpoint.get(), VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY);
}

bool is_backing_up_to(virDomainPtr domain, const std::filesystem::path& folder) {
  const std::unique_ptr<char, Freed<free>> xml(virDomainBackupGetXMLDesc(domain, 0));
  // Its last part alone: what comes before may be written with entities.
  return xml && std::string_view(xml.get()).find(folder.filename().string() + "/") != std::string_view::npos;
}

DomainBackup::DomainBackup(std::shared_ptr<Connection> connection, DomainHandle domain, const DomainPlace& place,
                           const std::filesystem::path& parent)
    : connection_(std::move(connection)), domain_(std::move(domain)), folder_(make_folder(parent)) {
  try {
    if (socket().string().size() > longest_socket)
      throw Error("the path of a socket for that qemu would be longer than the 107 bytes that it may have",
                  "choose a folder with a shorter path with --scratch", {socket().string()});
    keeper_ = start_backup_keeper(place, folder_);
  } catch (...) {
    std::filesystem::remove_all(folder_);
    throw;
  }
}

DomainBackup::~DomainBackup() {
  const auto until = Clock::now() + 10s;
  bool there = is_backing_up_to(domain_.get(), folder_);
  if (there) virDomainAbortJob(domain_.get());
  while (there && Clock::now() < until) {
    std::this_thread::sleep_for(20ms);
    there = is_backing_up_to(domain_.get(), folder_);
  }
  if (there || !connection_->alive()) return;  // the keeper goes on trying
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  tell_keeper(backup_done);  // it reads for as long as this is open
}

void DomainBackup::tell_keeper(char word) const {
  (void)!::write(keeper_.to.get(), &word, 1);
}

std::string DomainBackup::begin(BackupPlan& plan) {
  tell_keeper(backup_begins);
  std::string words;
  for (;;) {
    const std::string checkpoint = checkpoint_xml(plan);
    if (virDomainBackupBegin(domain_.get(), backup_xml(plan).c_str(), checkpoint.empty() ? nullptr : checkpoint.c_str(),
                             0) == 0) {
      tell_keeper(backup_runs);
      return words;
    }
    const Error error =
        libvirt_error("libvirt cannot begin to read the domain's disks",
                      "can its qemu write to " + folder_.string() + "? choose another folder with --scratch");
    if (!forget_changes(plan)) {
      if (checkpoint.empty()) throw error;
      plan.checkpoint.clear();
    }
    words = error.what();
  }
}

/// Without them libvirt looks for nothing that it noted, and what it cannot find now it would not find later.
bool DomainBackup::forget_changes(BackupPlan& plan) const {
  bool any = false;
  for (BackupDisk& disk : plan.disks) {
    if (disk.since.empty()) continue;
    remove_checkpoint(domain_.get(), disk.since);
    disk.since.clear();
    any = true;
  }
  return any;
}

}  // namespace kiln
