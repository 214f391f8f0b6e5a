#include "machine/space_watch.h"

#include <sys/statvfs.h>

#include <cstdint>

#include <kiln/error.h>

namespace kiln {

void SpaceWatch::operator()() {
  using namespace std::chrono_literals;
  constexpr std::uint64_t least_free = 256u << 20;
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  auto last = last_.load();
  if (now - last < std::chrono::nanoseconds(200ms).count() || !last_.compare_exchange_strong(last, now)) return;
  struct statvfs space {};
  if (::statvfs(folder_.c_str(), &space) != 0) return;
  if (std::uint64_t{space.f_bavail} * space.f_frsize < least_free)
    throw Error("less than 256 MiB are free where the blocks are kept that the guest overwrites",
                "free some space, or choose another folder with --scratch", {folder_.string()});
}

}  // namespace kiln
