#pragma once
// Whether this host has room for more machines.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "machine/instances.h"

namespace kiln {

/// Figures of one moment.
struct HostRoom {
  std::uint64_t memory = 0;   ///< bytes that no program has, and that no running instance was promised
  unsigned processors = 0;    ///< the host's
  unsigned cpus_running = 0;  ///< of the instances that run
};

/// A machine's processors mostly wait: so many of them may share one of the host's.
inline constexpr unsigned cpus_per_processor = 16;

/// Reads /proc/meminfo (proc(5): MemAvailable) and what the instances' processes have of their memory already
/// (/proc/PID/statm).
HostRoom room_of_host(const std::vector<Instance>&);

/// As if none of them ran, which is the most that any of them can ever get while other programs stay as they are.
HostRoom room_when_idle(const std::vector<Instance>&);

/// Why `count` machines more are too many, with the figures; nothing when they are not.
std::optional<std::string> lack_of_room(const HostRoom&, const Hardware& each, std::size_t count);
/// Throws Error that says so; `hint`: what whoever asked can do about it.
void require_room(const HostRoom&, const Hardware& each, std::size_t count, const std::string& hint);

}  // namespace kiln
