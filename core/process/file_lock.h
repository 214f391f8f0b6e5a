#pragma once
// A lock between processes, and between objects of one, that ends with its holder, however that ends.

#include <filesystem>
#include <optional>
#include <utility>

namespace kiln {

/// flock(2) on a file that is created when missing. Released by the destructor. Waiting is meant for moments, not for
/// builds. Errors: the file cannot be made, or its file system knows no locks.
class FileLock {
 public:
  /// Waits for everybody.
  static FileLock exclusive(const std::filesystem::path&);
  /// Nothing when somebody holds the lock.
  static std::optional<FileLock> try_exclusive(const std::filesystem::path&);
  /// Held together with other shared ones; waits for an exclusive one.
  static FileLock shared(const std::filesystem::path&);

  /// Whether the file that is locked still has a name: whoever finds it by its name then meets this lock.
  bool is_named() const;

  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(const std::filesystem::path&);
  bool take(int how, const std::filesystem::path&);
  int fd_ = -1;
};

}  // namespace kiln
