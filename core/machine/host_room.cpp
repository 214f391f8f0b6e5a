#include "machine/host_room.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

namespace kiln {
namespace {

/// QEMU's own, beside the guest's memory: its code cache and tables.
constexpr std::uint64_t overhead = 64u << 20;

std::uint64_t available_memory() {
  std::ifstream lines("/proc/meminfo");
  std::string name, unit;
  for (std::uint64_t kib = 0; lines >> name >> kib;) {
    if (name == "MemAvailable:") return kib * 1024;
    std::getline(lines, unit);
  }
  throw Error("/proc/meminfo of this host does not tell how much memory is available");
}

/// What a process has of its memory at the moment; 0 when it is gone.
std::uint64_t resident(pid_t pid) {
  std::ifstream words("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t all = 0, pages = 0;
  if (!(words >> all >> pages)) return 0;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

HostRoom room_of_host(const std::vector<Instance>& instances) {
  HostRoom room{available_memory(), std::max(1u, std::thread::hardware_concurrency()), 0};
  for (const Instance& instance : instances) {
    if (instance.state != Instance::State::running) continue;
    room.cpus_running += instance.hardware.cpus;
    const std::uint64_t promised = instance.hardware.memory.count + overhead;
    const std::uint64_t has = resident(instance.process.pid);
    room.memory -= std::min(room.memory, promised - std::min(promised, has));
  }
  return room;
}

HostRoom room_when_idle(const std::vector<Instance>& instances) {
  HostRoom room = room_of_host({});
  for (const Instance& instance : instances)
    if (instance.state == Instance::State::running) room.memory += resident(instance.process.pid);
  return room;
}

std::optional<std::string> lack_of_room(const HostRoom& room, const Hardware& each, std::size_t count) {
  const std::string machines = counted(count, "machine");
  const std::uint64_t needed = count * (each.memory.count + overhead);
  if (needed > room.memory)
    return machines + " of " + format_bytes(each.memory.count) + (count == 1 ? " needs " : " need ") +
           format_bytes(needed) + " of memory, and this host has " + format_bytes(room.memory) + " left";
  const std::uint64_t cpus = count * each.cpus, most = std::uint64_t{room.processors} * cpus_per_processor;
  if (room.cpus_running + cpus > most)
    return machines + (count == 1 ? " has " : " have ") + counted(cpus, "cpu") + ", and " +
           counted(room.cpus_running, "cpu") + " of other instances run already: more than the " +
           std::to_string(most) + " that the " + counted(room.processors, "processor") + " of this host can serve";
  return std::nullopt;
}

void require_room(const HostRoom& room, const Hardware& each, std::size_t count, const std::string& hint) {
  if (const auto lack = lack_of_room(room, each, count)) throw Error(*lack, hint);
}

}  // namespace kiln
