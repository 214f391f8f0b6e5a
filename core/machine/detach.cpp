#include "machine/detach.h"

#include <algorithm>
#include <thread>

#include <kiln/text.h>

#include <nlohmann/json.hpp>

#include "machine/disk_server.h"
#include "machine/qemu.h"
#include "machine/rewrite.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Told = std::function<void(std::uint64_t done, std::uint64_t total)>;

json status_of(const json& jobs, const std::string& job) {
  const auto ours = std::ranges::find_if(jobs, [&](const json& one) { return one.value("id", "") == job; });
  return ours == jobs.end() ? json() : *ours;
}

/// Whoever began it: a kiln that was killed leaves its job to go on.
json find_job(Qmp& qmp, const std::string& job) {
  return status_of(qmp.execute("query-jobs"), job);
}

/// Until it is gone, so that the next one finds nothing of it.
void cancel(Qmp& qmp, const std::string& job) {
  qmp.execute("job-cancel", json{{"id", job}});
  for (json now; !(now = find_job(qmp, job)).is_null(); std::this_thread::sleep_for(20ms))
    if (now.value("status", "") == "concluded") qmp.execute("job-dismiss", json{{"id", job}});
}

void wait_for_job(Qmp& qmp, const std::string& job, const std::stop_token& stop, const Told& told) {
  for (json now; !(now = find_job(qmp, job)).is_null(); std::this_thread::sleep_for(50ms)) {
    const auto total = now.value("total-progress", std::uint64_t{0});
    if (told) told(std::min(now.value("current-progress", std::uint64_t{0}), total), total);
    if (now.value("status", "") == "concluded") {
      qmp.execute("job-dismiss", json{{"id", job}});
      if (const std::string failure = now.value("error", ""); !failure.empty())
        throw Error("the disk could not be copied: " + printable(failure), "is the host's disk full?");
      return;
    }
    if (stop.stop_requested()) {
      cancel(qmp, job);
      throw cancelled();
    }
  }
}

/// Of a disk that stands alone already nothing is copied.
void stream(Qmp& qmp, std::size_t disk, const std::stop_token& stop, const Told& told) {
  const std::string node = disk_node_name(disk), job = "kiln-detach-" + node;
  if (find_job(qmp, job).is_null())
    qmp.execute("block-stream", json{{"job-id", job}, {"device", node}, {"auto-dismiss", false}});
  wait_for_job(qmp, job, stop, told);
}

/// A stream ends with tables that only QEMU's memory holds: nobody may be told before they are on the host's disk. Its
/// monitor for programs has no command for that.
void flush(Qmp& qmp, std::size_t disk) {
  const json said =
      qmp.execute("human-monitor-command", {{"command-line", "qemu-io " + disk_node_name(disk) + " flush"}}, 10min);
  if (const std::string words = said.is_string() ? said.get<std::string>() : ""; !words.empty())
    throw Error("the disk could not be written: " + printable(words), "is the host's disk full?");
}

Qmp connect(const Instance& instance) {
  const auto monitor = instance.folder / machine_file::capture;
  try {
    return Qmp::connect(std::filesystem::exists(monitor) ? monitor : instance.folder / machine_file::qmp, 5s);
  } catch (const Error& error) {
    throw Error("cannot detach \"" + instance.name + "\" now: " + error.what(), "is it being captured? try again then");
  }
}

/// The progress of one disk, as that of all.
Told of_all(const Instance& instance, std::size_t disk, const Told& told) {
  std::uint64_t before = 0, all = instance.disk_size;
  for (std::size_t i = 0; i < instance.data.size(); ++i) all += instance.data[i].size;
  for (std::size_t i = 0; i < disk; ++i) before += i == 0 ? instance.disk_size : instance.data[i - 1].size;
  return [before, all, told](std::uint64_t done, std::uint64_t) {
    if (told) told(std::min(before + done, all), all);
  };
}

}  // namespace

void detach_disks(const Instance& instance, const std::stop_token& stop, const Told& told) {
  if (instance.state == Instance::State::running) {
    // Not stopped by the token: it has to be able to say "cancel". The monitor of captures, which must wait meanwhile;
    // whoever stops the machine uses the other one.
    Qmp qmp = connect(instance);
    for (std::size_t disk = 0; disk <= instance.data.size(); ++disk) {
      stream(qmp, disk, stop, of_all(instance, disk, told));
      flush(qmp, disk);
    }
    return;
  }
  for (std::size_t disk = 0; disk <= instance.data.size(); ++disk) {
    const DiskServer server(instance, disk, stop);
    Qmp qmp = Qmp::connect(server.monitor(), 5s, {}, "qemu-storage-daemon");
    stream(qmp, disk, stop, of_all(instance, disk, told));
    flush(server);
  }
}

}  // namespace kiln
