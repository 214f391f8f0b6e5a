#include "engine/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include <kiln/error.h>

namespace kiln::engine {
namespace {

int open_lock(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw system_error("cannot open " + file.string(), errno, "is the kiln home writable?");
  return fd;
}

}  // namespace

Lock Lock::take(const std::filesystem::path& file) {
  Lock lock(open_lock(file));
  while (::flock(lock.fd_, LOCK_EX) != 0)
    if (errno != EINTR) throw system_error("cannot lock " + file.string(), errno);
  return lock;
}

std::optional<Lock> Lock::try_take(const std::filesystem::path& file) {
  Lock lock(open_lock(file));
  while (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    if (errno != EINTR) throw system_error("cannot lock " + file.string(), errno);
  }
  return lock;
}

Lock::~Lock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace kiln::engine
