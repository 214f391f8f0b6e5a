#include "catalog/store_lock.h"

#include <sys/file.h>

#include <cerrno>

namespace kiln {
namespace {

bool lock(const File& file, int how) {
  while (::flock(file.fd(), how) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR)
      throw system_error("cannot lock " + file.path().string(), errno, "put KILN_HOME on a disk of this host");
  }
  return true;
}

}  // namespace

StoreLock StoreLock::shared(const std::filesystem::path& path) {
  File file = File::open_write(path);
  lock(file, LOCK_SH);
  return StoreLock(std::move(file));
}

StoreLock StoreLock::exclusive(const std::filesystem::path& path) {
  File file = File::open_write(path);
  lock(file, LOCK_EX);
  return StoreLock(std::move(file));
}

std::optional<StoreLock> StoreLock::try_exclusive(const std::filesystem::path& path) {
  File file = File::open_write(path);
  if (!lock(file, LOCK_EX | LOCK_NB)) return std::nullopt;
  return StoreLock(std::move(file));
}

}  // namespace kiln
