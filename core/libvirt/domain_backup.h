#pragma once
// One point in time of all disks of a domain that runs or is paused, to be read while the guest goes on writing: a
// backup job of libvirt's in pull mode (libvirt.org/formatbackup.html, of libvirt 9.0).
//
// With it a checkpoint begins (libvirt.org/formatcheckpoint.html): what changes from then on is noted in the disks, so
// that the next capture reads only that. Checkpoints of ours are called kiln-<number>-<random>, as dirty bitmaps are.

#include <filesystem>
#include <string>
#include <vector>

#include "libvirt/connection.h"
#include "libvirt/domain_keeper.h"

namespace kiln {

struct BackupDisk {
  std::string target;
  std::filesystem::path scratch;  ///< on the host: what the guest overwrites is kept there; must not exist
  std::string since = {};         ///< the checkpoint since which changes are asked for; empty: all
  bool noted = false;             ///< its format can keep a checkpoint
};

struct BackupPlan {
  std::filesystem::path socket;
  std::string checkpoint;  ///< empty: none is begun
  std::vector<BackupDisk> disks;
  std::vector<std::string> untouched;  ///< targets of its other drives
};

std::string backup_xml(const BackupPlan&);
/// Empty when no disk can keep one.
std::string checkpoint_xml(const BackupPlan&);

/// Ours, the oldest first.
std::vector<std::string> checkpoints_of(virDomainPtr);
/// One that is gone is no failure, and neither is one whose notes are damaged: its name is forgotten then.
void remove_checkpoint(virDomainPtr, const std::string& name);

/// Whether a backup job serves a socket in that folder.
bool is_backing_up_to(virDomainPtr, const std::filesystem::path& folder);

/// One thread. The destructor ends the job; when this process is killed another one does.
class DomainBackup {
 public:
  /// Makes a folder for the socket below `parent` where QEMU, whoever it runs as, can put it, and nobody can look.
  DomainBackup(std::shared_ptr<Connection>, DomainHandle, const DomainPlace&, const std::filesystem::path& parent);
  DomainBackup(const DomainBackup&) = delete;
  DomainBackup& operator=(const DomainBackup&) = delete;
  ~DomainBackup();

  const std::filesystem::path& folder() const noexcept { return folder_; }
  std::filesystem::path socket() const { return folder_ / "nbd.sock"; }
  /// The point in time. What cannot be had with checkpoints is begun without: without the old ones first, which are
  /// removed, then without any. They leave the plan, and libvirt's words are returned.
  std::string begin(BackupPlan&);
  static std::string bitmap_of(const std::string& target) { return "backup-" + target; }

 private:
  void tell_keeper(char word) const;
  bool forget_changes(BackupPlan&) const;
  std::shared_ptr<Connection> connection_;
  DomainHandle domain_;
  std::filesystem::path folder_;
  Keeper keeper_;
};

}  // namespace kiln
