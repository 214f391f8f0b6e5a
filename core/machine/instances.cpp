#include "machine/instances.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>

#include <nlohmann/json.hpp>

#include "machine/attend.h"
#include "machine/instance_names.h"
#include "machine/instance_record.h"
#include "machine/qemu.h"
#include "machine/started_qemu.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Asks over QMP; a QEMU that does not answer is no failure here, because the next step is harsher. It hears one kiln
/// at a time, and none while it saves or loads a machine's memory.
bool ask(const Instance& instance, const char* command, Duration limit, const std::stop_token& stop) {
  try {
    Qmp::connect(instance.folder / machine_file::qmp, limit, stop).execute(command, limit);
    return true;
  } catch (const Error& e) {
    if (is_cancelled(e)) throw;
    return false;
  }
}

bool gone_within(const ProcessId& process, Duration limit, const std::stop_token& stop) {
  const auto until = Clock::now() + limit;
  do {
    if (stop.stop_requested()) throw cancelled();
    const auto left = std::chrono::ceil<Duration>(until - Clock::now());
    if (wait_gone(process, std::clamp(left, Duration(0), Duration(100)))) return true;
  } while (Clock::now() < until);
  return false;
}

void kill_now(const ProcessId& process) {
  const Attendant attendant(process);
  signal_process(process, SIGKILL);
  wait_gone(process, 10s);
  attendant.wait();
}

Instance broken(const std::filesystem::path& folder) {
  Instance instance;
  instance.name = folder.filename().string();
  instance.folder = folder;
  instance.state = Instance::State::broken;
  return instance;
}

}  // namespace

std::string_view to_text(Instance::State state) {
  switch (state) {
    case Instance::State::running:
      return "running";
    case Instance::State::stopped:
      return "stopped";
    case Instance::State::broken:
      return "broken";
    case Instance::State::unknown:
      return "unknown";
    case Instance::State::lost:
      return "lost";
  }
  return "";
}

void require_readable(const Instance& instance) {
  if (instance.state == Instance::State::broken)
    throw Error("the record of instance \"" + instance.name + "\" cannot be read",
                "remove it: kiln rm " + instance.name);
}

void require_here(const Instance& instance, std::string_view doing) {
  require_readable(instance);
  if (instance.driver == "qemu") return;
  throw refused("instance \"" + instance.name + "\" is on " + instance.connect + ": kiln cannot " + std::string(doing) +
                    " it from here",
                "use the tools of libvirt for that, or launch it with --driver qemu");
}

FileLock Instances::lock_folder() const {
  std::filesystem::create_directories(root_);
  return FileLock::exclusive(root_ / ".lock");
}

bool Instances::sees(const Instance& instance) const {
  if (user_.keeps_home && (instance.account.empty() || !instance.of_server || !user_.of_server)) return true;
  return !instance.account.empty() && instance.account == user_.account && instance.of_server == user_.of_server;
}

std::vector<Instance> Instances::everybodys() const {
  std::vector<Instance> all;
  std::error_code failed, ignored;
  const std::filesystem::directory_iterator entries(root_, failed);
  if (failed && failed != std::errc::no_such_file_or_directory)
    throw system_error("cannot read " + root_.string(), failed.value());
  for (const auto& entry : entries) {
    if (!entry.is_directory(ignored) || !valid_instance_name(entry.path().filename().string())) continue;
    all.push_back(read_instance(entry.path()).value_or(broken(entry.path())));
  }
  std::sort(all.begin(), all.end(), [](const Instance& a, const Instance& b) { return a.name < b.name; });
  return all;
}

std::vector<Instance> Instances::list() const {
  std::vector<Instance> seen = everybodys();
  std::erase_if(seen, [&](const Instance& instance) { return !sees(instance); });
  return seen;
}

Driver* Instances::driver_of(const Instance& instance) const {
  if (instance.driver == "qemu") return nullptr;
  if (instance.driver == "libvirt" && libvirt_ != nullptr) return libvirt_;
  throw Error("instance \"" + instance.name + "\" is kept by the driver \"" + instance.driver +
                  "\", which this kiln does not have",
              "use the kiln that launched it");
}

void Instances::ask_hosts(std::vector<Instance>& instances, Duration limit) const {
  std::vector<Instance*> asked;
  for (Instance& instance : instances)
    if (instance.driver == "libvirt" && libvirt_ != nullptr) asked.push_back(&instance);
  if (!asked.empty()) libvirt_->look(asked, limit);
}

Instance Instances::get(const std::string& name) const {
  std::vector<std::string> names;
  for (Instance& instance : list()) {
    if (instance.name == name) {
      std::vector<Instance> one{std::move(instance)};
      ask_hosts(one);
      return std::move(one.front());
    }
    names.push_back(instance.name);
  }
  const auto near = nearest(name, names);
  throw invalid("there is no instance \"" + name + "\"",
                near ? "did you mean \"" + *near + "\"?" : "kiln ps lists what there is");
}

std::vector<Instance> Instances::instances_of(const std::string& image_id) const {
  std::vector<Instance> all = everybodys();
  std::erase_if(all, [&](const Instance& i) { return i.detached || i.image_id != image_id; });
  return all;
}

std::filesystem::path Instances::serial_log(const std::string& name) const {
  return get(name).folder / machine_file::serial_log;
}

std::string Instances::serial_text(const std::string& name, std::uint64_t last_bytes) const {
  const Instance instance = get(name);
  if (Driver* driver = driver_of(instance)) return driver->serial_text(instance, last_bytes);
  std::ifstream file(instance.folder / machine_file::serial_log, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const auto size = static_cast<std::uint64_t>(file.tellg()), from = size > last_bytes ? size - last_bytes : 0;
  std::string text(size - from, '\0');
  file.seekg(static_cast<std::streamoff>(from));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

Stopped Instances::stop(const std::string& name, Duration limit, std::stop_token stop) const {
  const Instance instance = get(name);
  if (Driver* driver = driver_of(instance)) return driver->stop(instance, limit, stop);
  if (instance.state != Instance::State::running) return Stopped::already;
  if (limit != Duration(0) && !FileLock::try_exclusive(instance.folder / machine_file::memory_lock))
    throw Error("a capture saves the memory of instance \"" + name + "\" right now",
                "try again when it is done, or kill the machine with --timeout 0s");
  const Attendant attendant(instance.process);
  const auto gone = [&](Duration within) {
    if (!gone_within(instance.process, within, stop)) return false;
    attendant.wait();  // how it ended is known when this returns
    return true;
  };
  // A QEMU that does not answer the first time will not answer the second.
  if (ask(instance, "system_powerdown", std::max(limit, Duration(5s)), stop)) {
    if (gone(limit)) return Stopped::by_guest;
    if (ask(instance, "quit", 5s, stop) && gone(5s)) return Stopped::by_qemu;
  }
  kill_now(instance.process);
  return Stopped::killed;
}

std::optional<Error> Instances::remove(const std::string& name, bool force) const {
  const FileLock lock = lock_folder();
  const Instance instance = get(name);
  std::optional<Error> given_up;
  const bool running =
      instance.state == Instance::State::running ||
      (instance.state == Instance::State::broken && is_listened_to(instance.folder / machine_file::qmp));
  if (running && !force)
    throw Error("instance \"" + name + "\" is running", "kiln stop " + name + ", or remove it with --force");
  if (Driver* driver = driver_of(instance)) {
    try {
      driver->remove(instance);
    } catch (const Error& error) {
      if (!force || instance.state != Instance::State::unknown) throw;
      given_up = error;
    }
  } else if (instance.state == Instance::State::running) {
    kill_now(instance.process);
  } else {
    end_unrecorded(instance);
  }
  remove_instance_folder(instance.folder);
  return given_up;
}

}  // namespace kiln
