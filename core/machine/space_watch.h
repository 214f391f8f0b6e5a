#pragma once
// The room for what a guest overwrites while its disks are read: if the host's disk got full, the guest would be
// paused.

#include <atomic>
#include <chrono>
#include <filesystem>

namespace kiln {

/// Any thread.
class SpaceWatch {
 public:
  explicit SpaceWatch(std::filesystem::path folder) : folder_(std::move(folder)) {}
  /// Throws Error when less than 256 MiB are free there. Looks five times a second at most.
  void operator()();

 private:
  const std::filesystem::path folder_;
  std::atomic<std::chrono::steady_clock::rep> last_{0};
};

}  // namespace kiln
