#include "process/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <kiln/error.h>

namespace kiln {

FileLock::FileLock(const std::filesystem::path& file) : fd_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  if (fd_ < 0) throw system_error("cannot open " + file.string(), errno, "is the kiln home writable?");
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

bool FileLock::take(int how, const std::filesystem::path& file) {
  while (::flock(fd_, how) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR)
      throw system_error("cannot lock " + file.string(), errno, "put KILN_HOME on a disk of this host");
  }
  return true;
}

bool FileLock::is_named() const {
  struct stat status {};
  return ::fstat(fd_, &status) == 0 && status.st_nlink > 0;
}

FileLock FileLock::exclusive(const std::filesystem::path& file) {
  FileLock lock(file);
  lock.take(LOCK_EX, file);
  return lock;
}

std::optional<FileLock> FileLock::try_exclusive(const std::filesystem::path& file) {
  FileLock lock(file);
  if (!lock.take(LOCK_EX | LOCK_NB, file)) return std::nullopt;
  return lock;
}

FileLock FileLock::shared(const std::filesystem::path& file) {
  FileLock lock(file);
  lock.take(LOCK_SH, file);
  return lock;
}

}  // namespace kiln
