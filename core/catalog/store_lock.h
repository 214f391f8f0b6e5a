#pragma once
// Who may remove files of a catalog, and when.

#include <filesystem>
#include <optional>

#include <kiln/file.h>

namespace kiln {

/// A lock on a file, held until the object ends or the process dies. Between processes, and between objects of one.
///
/// Shared by everybody who needs files to stay: publishers and those that are just opening files. Exclusive for whoever
/// removes files; with that, every file without a record belongs to somebody who died.
class StoreLock {
 public:
  /// Waits while files are being removed: milliseconds.
  static StoreLock shared(const std::filesystem::path&);
  /// Nothing when somebody holds the lock.
  static std::optional<StoreLock> try_exclusive(const std::filesystem::path&);
  /// Waits for everybody.
  static StoreLock exclusive(const std::filesystem::path&);

 private:
  explicit StoreLock(File file) : file_(std::move(file)) {}
  File file_;
};

}  // namespace kiln
