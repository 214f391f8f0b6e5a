#include "machine/guest_first.h"

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

/// Nanoseconds that the threads of the guest's processors have run (Documentation/scheduler/sched-stats of Linux: the
/// first figure of /proc/PID/schedstat).
std::uint64_t time_of_guest(const nlohmann::json& cpus) {
  std::uint64_t all = 0, ran = 0;
  for (const nlohmann::json& cpu : cpus) {
    std::ifstream file("/proc/" + std::to_string(cpu.value("thread-id", 0)) + "/schedstat");
    if (file >> ran) all += ran;
  }
  return all;
}

}  // namespace

bool is_busy(Qmp& qmp) {
  constexpr auto moment = std::chrono::milliseconds(50);
  const nlohmann::json cpus = qmp.execute("query-cpus-fast");
  const std::uint64_t before = time_of_guest(cpus);
  std::this_thread::sleep_for(moment);
  const auto least = static_cast<std::uint64_t>(std::chrono::nanoseconds(moment).count()) / 4;
  return time_of_guest(cpus) - before >= least;
}

GuestFirst::GuestFirst(bool needed) {
  CPU_ZERO(&before_);
  if (!needed || ::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  const int all = CPU_COUNT(&before_);
  cpu_set_t half;
  CPU_ZERO(&half);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&half) < (all + 1) / 2; ++cpu)
    if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &half);
  changed_ = all > 1 && ::sched_setaffinity(0, sizeof half, &half) == 0;
}

GuestFirst::~GuestFirst() {
  if (changed_) ::sched_setaffinity(0, sizeof before_, &before_);
}

}  // namespace kiln
