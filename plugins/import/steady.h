#pragma once
// Files that must stay as they were when they were opened.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <kiln/block.h>
#include <kiln/file.h>

struct stat;

namespace kiln::import {

/// What the file system says of a file: when this is the same, so is the content.
struct Identity {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified = 0, changed = 0;  ///< nanoseconds
  bool operator==(const Identity&) const = default;

  static Identity of(const struct stat&);
  /// Throws Error when it cannot be asked.
  static Identity of(const File&);
  std::string text() const;
};

/// A file that must stay as it was when it was opened. Any thread.
class SteadyFile {
 public:
  explicit SteadyFile(const std::filesystem::path& path)
      : file_(File::open_read(path)), identity_(Identity::of(file_)) {}

  const File& file() const { return file_; }
  const Identity& identity() const { return identity_; }
  /// To be called after every reading. A format may have opened the file by its name, so the name is looked at too.
  void check() const;

 private:
  File file_;
  Identity identity_;
};

/// A file to be read, and who sees that it stays as it was: nobody for what only kiln can write to.
struct Input {
  File file;
  std::shared_ptr<const SteadyFile> guard = {};

  void check() const {
    if (guard) guard->check();
  }
};

/// A disk of which no byte and no hole is used that was read from another file than the guard's, or from one that
/// somebody writes to. Without a guard it is the disk itself.
std::shared_ptr<const BlockReader> keep_steady(std::shared_ptr<const SteadyFile> guard,
                                               std::shared_ptr<const BlockReader> disk);

}  // namespace kiln::import
