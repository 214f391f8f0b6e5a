#pragma once
// Looking into the guests of one or two disks, without changing them.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/context.h>
#include <kiln/format.h>

namespace kiln {

/// A name in a guest and what it stands for; links are not followed.
struct ViewedFile {
  std::string path;        ///< absolute; as the guest has it, so show it printable()
  std::uint32_t mode = 0;  ///< type and permissions, as stat(2) has them
  std::int64_t uid = 0, gid = 0;
  std::uint64_t size = 0, inode = 0;
  std::int64_t modified = 0, changed = 0;  ///< nanoseconds since 1970
  std::string target;                      ///< of a symbolic link

  bool is_regular() const noexcept { return (mode & 0170000) == 0100000; }
  bool is_link() const noexcept { return (mode & 0170000) == 0120000; }
  bool is_folder() const noexcept { return (mode & 0170000) == 0040000; }
};

struct ViewedPackage {
  std::string name, arch, version;  ///< version with epoch and release: "2:9.0.1378-2"
};

struct ViewedPartition {
  int number = 0;
  std::uint64_t first = 0, last = 0;  ///< bytes of the disk
  std::string type;                   ///< GPT: its GUID; else its number in hexadecimal
  std::string filesystem, label, uuid;
};

/// One disk, seen from the appliance. All strings but the files' paths and targets are printable().
struct GuestView {
  std::string table;  ///< "gpt", "msdos"; empty when the disk has no partitions
  std::vector<ViewedPartition> partitions;
  Facts os;  ///< as Guest::os(); empty when there is no operating system, and then there is nothing below
  std::vector<ViewedPackage> packages;  ///< of dpkg or rpm, by name
  std::vector<ViewedFile> files;        ///< by path
  std::vector<std::string> notes;       ///< what could not be looked at
};

struct ViewerOptions {
  /// One or two private qcow2 overlays. File systems are mounted read-only; what a journal wants to write goes there.
  std::vector<std::filesystem::path> overlays;
  std::filesystem::path run_dir;  ///< as SessionOptions::run_dir
  bool force_tcg = true;
  std::stop_token stop = {};
  std::function<void(const Progress&)> progress = {};  ///< on the caller's thread
  bool sandboxed = true;                               ///< as SessionOptions::sandboxed
};

/// One appliance. One thread, which must outlive it. Throws cancelled() once stop was asked for.
class Viewer {
 public:
  /// Starts the appliance, which takes many seconds.
  explicit Viewer(ViewerOptions);
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;
  ~Viewer();

  /// Whether the disks can be told apart: volume groups, arrays and btrfs of copies have the same names. When they
  /// cannot, look at each in an appliance of its own.
  bool distinguishes() const;
  GuestView look(unsigned disk);
  /// The bytes of a regular file that look() has named, in pieces. Throws Error when it cannot be read.
  void read(unsigned disk, const ViewedFile&, const std::function<void(std::span<const std::byte>)>& piece);
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln
