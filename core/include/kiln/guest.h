#pragma once
// The guest's own files, partitions and programs, seen through an appliance that has the disk attached. Nothing of the
// guest is ever mounted on the host.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/format.h>

namespace kiln {

/// An open appliance on the stage's disk. One thread at a time. Paths are the guest's, absolute; a symbolic link in
/// them is followed inside the guest only. Every call throws Error with the appliance's message, and obeys
/// cancellation.
class Guest {
 public:
  // --- The operating system: found, and its file systems mounted, at the first call that needs them.

  /// "os.type" "os.distro" "os.version" "os.product" "os.arch" "os.hostname" "os.root"; empty when the disk has none.
  virtual const Facts& os() = 0;

  virtual bool exists(const std::string& path) = 0;
  virtual bool is_file(const std::string& path) = 0;
  virtual bool is_directory(const std::string& path) = 0;
  virtual std::string read(const std::string& path, std::uint64_t limit = 16u << 20) = 0;
  virtual void write(const std::string& path, std::string_view content) = 0;
  virtual void append(const std::string& path, std::string_view content) = 0;
  virtual void upload(const std::filesystem::path& host, const std::string& path) = 0;
  virtual void copy_in(const std::filesystem::path& host, const std::string& directory) = 0;  ///< a file or a folder
  virtual void unpack(const std::filesystem::path& tar, const std::string& directory) = 0;    ///< uncompressed tar
  virtual void make_directory(const std::string& path) = 0;                                   ///< with its parents
  virtual void link(const std::string& target, const std::string& path) = 0;                  ///< symbolic, replaces
  virtual void chmod(const std::string& path, unsigned mode) = 0;
  virtual void chown(const std::string& path, std::int64_t uid, std::int64_t gid) = 0;
  virtual void remove(const std::string& path) = 0;  ///< file or tree; absent is not an error
  virtual void truncate(const std::string& path) = 0;
  virtual std::vector<std::string> glob(const std::string& pattern) = 0;

  /// Runs a shell command line in the guest's root, as root, without network. Returns its output; a status other than 0
  /// is an Error that carries the last lines.
  virtual std::string run(const std::string& command) = 0;

  // --- The bare disk: partitions and file systems. Devices are named "/dev/sda", "/dev/sda1".

  virtual std::vector<std::string> filesystems() = 0;  ///< "device type" pairs
  /// Any other call of the appliance by its guestfish words, for example {"part-init", "/dev/sda", "gpt"}.
  virtual std::string call(const std::vector<std::string>& words) = 0;

 protected:
  ~Guest() = default;
};

/// What several of those who work in a guest do, the same way.

/// /etc/hostname, and in /etc/hosts the name behind 127.0.1.1, where Debian has it.
KILN_API void set_hostname(Guest&, const std::string& name);
/// Files written from outside have no SELinux labels; a guest that enforces them is made to label itself once.
KILN_API void relabel_at_boot(Guest&);

}  // namespace kiln
