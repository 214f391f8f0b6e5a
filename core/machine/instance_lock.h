#pragma once

#include <filesystem>

namespace kiln {

/// Held while instances are made or removed, so that two kilns do not take one name or one port. Waits for it.
class InstanceLock {
 public:
  explicit InstanceLock(const std::filesystem::path& root);  ///< makes the folder when there is none
  InstanceLock(const InstanceLock&) = delete;
  InstanceLock& operator=(const InstanceLock&) = delete;
  ~InstanceLock();

 private:
  int fd_ = -1;
};

}  // namespace kiln
