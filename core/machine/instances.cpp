#include "machine/instances.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>

#include <nlohmann/json.hpp>

#include "machine/instance_record.h"
#include "machine/qemu.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Asks over QMP; a QEMU that does not answer is no failure here, because the next step is harsher.
bool ask(const Instance& instance, const char* command, const std::stop_token& stop) {
  try {
    Qmp::connect(instance.folder / machine_file::qmp, 5s, stop).execute(command, 5s);
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
  signal_process(process, SIGKILL);
  wait_gone(process, 10s);
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
  }
  return "";
}

bool valid_instance_name(std::string_view name) {
  const auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !name.empty() && name.size() <= 63 && alnum(name.front()) && alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '-'; });
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

Instance Instances::get(const std::string& name) const {
  std::vector<std::string> names;
  for (Instance& instance : list()) {
    if (instance.name == name) return std::move(instance);
    names.push_back(instance.name);
  }
  const auto near = nearest(name, names);
  throw invalid("there is no instance \"" + name + "\"",
                near ? "did you mean \"" + *near + "\"?" : "kiln ps lists what there is");
}

std::vector<Instance> Instances::instances_of(const std::string& image_id) const {
  std::vector<Instance> all = everybodys();
  std::erase_if(all, [&](const Instance& i) { return i.image_id != image_id; });
  return all;
}

std::filesystem::path Instances::serial_log(const std::string& name) const {
  return get(name).folder / machine_file::serial_log;
}

Stopped Instances::stop(const std::string& name, Duration limit, std::stop_token stop) const {
  const Instance instance = get(name);
  if (instance.state != Instance::State::running) return Stopped::already;
  // A QEMU that does not answer the first time will not answer the second.
  if (ask(instance, "system_powerdown", stop)) {
    if (gone_within(instance.process, limit, stop)) return Stopped::by_guest;
    if (ask(instance, "quit", stop) && gone_within(instance.process, 5s, stop)) return Stopped::by_qemu;
  }
  kill_now(instance.process);
  return Stopped::killed;
}

void Instances::remove(const std::string& name, bool force) const {
  const FileLock lock = lock_folder();
  const Instance instance = get(name);
  if (instance.state == Instance::State::running) {
    if (!force)
      throw Error("instance \"" + name + "\" is running", "kiln stop " + name + ", or remove it with --force");
    kill_now(instance.process);
  }
  // Killed between its QEMU's start and the record of it: the machine, if there is one, still answers here.
  if (instance.state == Instance::State::broken && std::filesystem::exists(instance.folder / machine_file::qmp))
    ask(instance, "quit", {});
  std::filesystem::remove_all(instance.folder);
}

}  // namespace kiln
