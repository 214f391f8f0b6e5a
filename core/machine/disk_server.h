#pragma once
// A disk of an instance that is shut off, open in a qemu-storage-daemon: for what only QEMU can do to a qcow2.

#include <filesystem>
#include <stop_token>

#include "machine/instances.h"

namespace kiln {

/// Works in the instance's folder, with every format given. Nobody else can open the disk meanwhile. The daemon dies
/// with the thread that made this; its destructor flushes and closes.
/// Errors: somebody has the disk open, in the daemon's own words.
class DiskServer {
 public:
  static constexpr char export_name[] = "disk";  ///< of the one NBD export, writable

  /// `disk`: 0 is the system disk, the data disks follow. On the monitor its node is disk_node_name(disk).
  explicit DiskServer(const Instance&, std::size_t disk, const std::stop_token& stop = {});
  DiskServer(const DiskServer&) = delete;
  DiskServer& operator=(const DiskServer&) = delete;
  ~DiskServer();

  const std::filesystem::path& nbd_socket() const noexcept { return nbd_; }
  const std::filesystem::path& monitor() const noexcept { return monitor_; }  ///< QMP, one connection at a time

 private:
  void wait_until_open(const std::stop_token&);
  Error did_not_start() const;
  void remove_files() const;
  FileLock turn_;  // before the files: who comes second must not remove the first one's
  std::filesystem::path nbd_, monitor_, log_;
  Child daemon_;
};

}  // namespace kiln
