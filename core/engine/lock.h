#pragma once
// A lock between processes, that ends with the process that holds it, however it ends.

#include <filesystem>
#include <optional>
#include <utility>

namespace kiln::engine {

/// flock(2) on a file that is created when missing. Released by the destructor.
class Lock {
 public:
  /// Waits. Meant for moments, not for builds.
  static Lock take(const std::filesystem::path&);
  /// Nothing when another process, or another Lock of this one, holds it.
  static std::optional<Lock> try_take(const std::filesystem::path&);

  Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Lock& operator=(Lock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Lock();

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace kiln::engine
