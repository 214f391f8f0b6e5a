#pragma once
// A real libvirt host of a test program's own: a libvirtd in session mode whose files are all in one temporary folder.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

class LibvirtHost {
 public:
  /// Up when it returns: that takes a few seconds, because it looks at each QEMU. Throws std::runtime_error.
  LibvirtHost();
  LibvirtHost(const LibvirtHost&) = delete;
  LibvirtHost& operator=(const LibvirtHost&) = delete;
  ~LibvirtHost();  ///< with all machines that run there

  std::string uri() const { return "qemu:///session?socket=" + (folder_ / "run/libvirt/libvirt-sock").string(); }
  std::filesystem::path pool() const { return folder_ / "pool"; }
  /// Makes the pool that kiln looks for, where this host may write.
  void define_pool() const;
  /// The oracle. Throws std::runtime_error when it fails.
  std::string virsh(std::vector<std::string> words) const;
  /// Of files in the pool, those that begin so; sorted.
  std::vector<std::string> volumes(const std::string& begin = "") const;
  pid_t pid() const { return pid_; }
  void stop();   ///< as at a reboot, but that machines go on
  void start();  ///< again

 private:
  TempDir folder_{"v"};  // libvirt's sockets are deep below it, and 107 bytes at most
  pid_t pid_ = -1;
};

}  // namespace kiln::test
