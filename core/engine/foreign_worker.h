#pragma once
// The program that reads a container for us.

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <kiln/file.h>

namespace kiln::engine {

/// qemu-storage-daemon, which has one file open read-only and exports its disk over a Unix socket. It sees the file
/// and nothing else of the host; it ends with the object, and with kiln.
class ForeignWorker {
 public:
  static constexpr char export_name[] = "disk";

  /// `driver`: of QEMU's block drivers. `disk_size` bounds the time that it may compute. It may not be able to open the
  /// file: that is seen when somebody connects. Throws refused() where there is no sandbox.
  ForeignWorker(const File&, std::string_view driver, std::uint64_t disk_size, bool sandboxed);
  ForeignWorker(const ForeignWorker&) = delete;
  ForeignWorker& operator=(const ForeignWorker&) = delete;
  ~ForeignWorker();

  /// There from the beginning: who connects waits until the file is open, or until the daemon has ended.
  std::filesystem::path socket() const { return folder_.path / "nbd"; }
  /// What it said last.
  std::vector<std::string> last_words() const;

 private:
  /// Private, for the socket and the log; gone with the object.
  struct Folder {
    std::filesystem::path path;
    Folder();
    ~Folder();
  } folder_;
  std::jthread keeper_;  // a child dies with the thread that started it, and nobody knows how long a caller's lives
};

}  // namespace kiln::engine
