// Launching: everything that can be refused is refused first, and what follows is undone unless all of it succeeds.
//
// The instances are made in $KILN_HOME/instances/.new and then renamed: nobody ever sees half of one.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <kiln/random.h>

#include "machine/host_room.h"
#include "machine/instance_names.h"
#include "machine/instance_record.h"
#include "machine/instances.h"
#include "machine/ports.h"
#include "machine/qemu.h"
#include "machine/seed.h"
#include "machine/start.h"
#include "machine/started_qemu.h"

namespace kiln {
namespace {

constexpr unsigned most_at_once = 500;

/// RFC 4122, 4.4: version 4, variant 10.
std::string random_uuid() {
  std::string hex = random_hex(16);
  hex[12] = '4';
  hex[16] = "89ab"[hex[16] & 3];
  return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' + hex.substr(16, 4) + '-' +
         hex.substr(20);
}

/// In the range that QEMU's project uses for its machines.
std::string random_mac() {
  const std::string hex = random_hex(3);
  return "52:54:00:" + hex.substr(0, 2) + ':' + hex.substr(2, 2) + ':' + hex.substr(4);
}

/// Folders that are made under `root`/.new and moved into place; gone unless keep() was called.
class NewFolders {
 public:
  explicit NewFolders(const std::filesystem::path& root) : root_(root), staging_(root / ".new") {
    std::filesystem::remove_all(staging_);  // of a kiln that was killed
    std::filesystem::create_directory(staging_);
    std::filesystem::permissions(staging_, std::filesystem::perms::owner_all);
  }
  NewFolders(const NewFolders&) = delete;
  NewFolders& operator=(const NewFolders&) = delete;
  ~NewFolders() {
    std::error_code ignored;
    std::filesystem::remove_all(staging_, ignored);
    for (const auto& folder : moved_) try {
        remove_instance_folder(folder);
      } catch (const Error&) {
        // it stays, as a broken instance that can be removed
      }
  }

  std::filesystem::path make(const std::string& name) const {
    std::filesystem::create_directory(staging_ / name);
    std::filesystem::permissions(staging_ / name, std::filesystem::perms::owner_all);
    return staging_ / name;
  }
  /// After it a power cut leaves them whole.
  void move_into_place(const std::vector<Instance>& instances) {
    sync();
    for (const Instance& instance : instances) {
      std::filesystem::rename(staging_ / instance.name, root_ / instance.name);
      moved_.push_back(root_ / instance.name);
    }
    sync();
  }
  void keep() { moved_.clear(); }

 private:
  /// One for all: hundreds of fsyncs would be most of the time that a launch takes.
  void sync() const {
    const int fd = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ::syncfs(fd) != 0) throw system_error("cannot write " + root_.string(), errno);
    ::close(fd);
  }
  std::filesystem::path root_, staging_;
  std::vector<std::filesystem::path> moved_;
};

/// What all instances of a launch have in common.
Instance common(const LaunchBase& base, const LaunchSpec& spec, const Accelerator& accelerator,
                const InstanceUser& user) {
  Instance instance;
  instance.account = user.account;
  instance.of_server = user.of_server;
  instance.region = base.region;
  instance.image_id = base.image_id;
  instance.image = base.image;
  instance.reference = base.reference;
  instance.base = {std::filesystem::absolute(base.disk.file), base.disk.format};
  instance.created = now_utc();
  instance.accelerator = accelerator.name;
  instance.hardware = hardware_for(spec, base.facts);
  instance.disk_size = spec.disk_size == 0 ? base.size : spec.disk_size;
  instance.data = base.data;
  for (DataDisk& disk : instance.data) disk.base.file = std::filesystem::absolute(disk.base.file);
  instance.token = spec.token;
  instance.fleet = spec.fleet;
  instance.boot_id = host_boot_id();
  instance.driver = spec.driver;
  instance.connect = spec.connect;
  return instance;
}

Seed seed_of(const Instance& instance, const LaunchSpec& spec) {
  return {.instance_id = "iid-" + instance.name + "-" + random_hex(8),
          .hostname = instance.name,
          .ssh_keys = spec.ssh_keys,
          .user_data = spec.user_data,
          .uuid = instance.uuid,
          .random = random_hex(64)};
}

void make_files(const Instance& instance, const LaunchBase& base, const LaunchSpec& spec) {
  if (instance.driver == "qemu") {
    write_seed(instance.folder / machine_file::seed, seed_of(instance, spec));
    prepare_folder(instance.folder, machine_of(instance), base.vars);
  }
  write_instance(instance, false);
}

void require_there(const DiskFile& disk, const std::string& image) {
  if (!std::filesystem::exists(disk.file))
    throw Error("the disk of " + image + " is not there", "is everything of KILN_HOME there?",
                {"missing: " + disk.file.string()});
}

void check(const LaunchBase& base, const LaunchSpec& spec) {
  if (spec.count == 0 || spec.count > most_at_once)
    throw invalid("a launch makes 1 to " + std::to_string(most_at_once) + " instances");
  if (spec.driver == "qemu") {
    require_there(base.disk, base.image);
    for (const DataDisk& disk : base.data) require_there(disk.base, base.image);
  }
  if (spec.disk_size != 0 && spec.disk_size < base.size)
    throw invalid("the disk of " + base.image + " has " + format_bytes(base.size) + ", which is more than " +
                      format_bytes(spec.disk_size),
                  "give a larger --disk-size, or leave it out");
}

/// Starts them, a few at a time. Whatever it started is gone again when it throws. `board`: of Resumption.
void start_all(std::vector<Instance>& instances, const std::string& board, const std::stop_token& stop,
               const decltype(LaunchHooks::told)& told) {
  constexpr std::size_t at_a_time = 8;
  std::vector<std::unique_ptr<StartedQemu>> started;
  const auto wait_for = [&](std::size_t i) {
    if (board.empty())
      started[i]->wait_until_it_runs(stop);
    else
      started[i]->go_on_from_memory(stop);
    if (told) told(i + 1, instances.size());
  };
  for (Instance& instance : instances) {
    MachineSpec machine = machine_of(instance);
    machine.resumes_on = board;
    started.push_back(std::make_unique<StartedQemu>(instance.folder, machine));
    instance.process = started.back()->process();
    write_instance(instance, false);
    if (started.size() > at_a_time) wait_for(started.size() - 1 - at_a_time);
  }
  for (std::size_t i = started.size() - std::min(started.size(), at_a_time); i < started.size(); ++i) wait_for(i);
  for (auto& qemu : started) qemu->keep();
}

/// As start_all(). Their records are there already: by those a removal finds what a killed kiln has left on the host.
void start_elsewhere(Driver& driver, const std::vector<Instance>& instances, const LaunchSpec& spec,
                     const std::stop_token& stop, const decltype(LaunchHooks::told)& told) {
  std::size_t made = 0;
  try {
    for (const Instance& instance : instances) {
      driver.launch(instance, seed_of(instance, spec), !spec.stopped, stop);
      ++made;
      if (told) told(made, instances.size());
    }
  } catch (...) {
    for (std::size_t i = 0; i < made; ++i) try {
        driver.remove(instances[i]);
      } catch (const Error&) {
        // what failed first is what the user has to hear
      }
    throw;
  }
}

Launched answer(const Instance& instance, bool was_there) {
  const bool here = instance.driver == "qemu";
  return {.name = instance.name,
          .serial_log = here ? instance.folder / machine_file::serial_log : "",
          .pid = instance.state == Instance::State::running || !was_there ? instance.process.pid : 0,
          .ports = instance.ports,
          .was_there = was_there};
}

/// Those that an earlier launch with the same token made, and no more than are asked for. What they were launched by
/// may mean a newer image by now: it is the same launch all the same.
std::vector<Instance> made_before(const std::vector<Instance>& all, const LaunchBase& base, const LaunchSpec& spec) {
  std::vector<Instance> found;
  for (const Instance& instance : all) {
    if (spec.token.empty() || instance.token != spec.token || found.size() == spec.count) continue;
    const bool is_named_alike = !instance.reference.empty() && instance.reference == base.reference;
    if (!is_named_alike && instance.image_id != base.image_id)
      throw Error("the token \"" + spec.token + "\" is of a launch of " + instance.image + ", not of " + base.image,
                  "give each launch a token of its own");
    found.push_back(instance);
  }
  return found;
}

/// Its kiln was killed before it came to that, or was not to start it.
bool never_ran(const Instance& instance) {
  return instance.driver == "qemu" && instance.process.pid == 0;
}

/// Starts those of `before` that never ran. When one of them fails, none has.
void start_rest(std::vector<Instance>& before, const std::vector<Instance>& all, const Accelerator& accelerator,
                const std::string& board, const std::stop_token& stop, const decltype(LaunchHooks::told)& told) {
  std::vector<Instance> rest;
  std::ranges::copy_if(before, std::back_inserter(rest), never_ran);
  for (Instance& instance : rest) {
    require_startable(instance);
    end_unrecorded(instance, stop);
    check_ports(instance.ports, all, PortsOf::record);
    instance.accelerator = accelerator.name;
    instance.boot_id = host_boot_id();
  }
  try {
    start_all(rest, board, stop, told);
  } catch (...) {
    for (Instance& instance : rest) {
      instance.process = {};
      write_instance(instance, false);
    }
    throw;
  }
  for (const Instance& started : rest) {
    Instance& instance = *std::ranges::find(before, started.name, &Instance::name);
    instance = started;
    instance.state = Instance::State::running;
  }
}

std::string more_room(const LaunchSpec& spec) {
  if (!spec.fleet.empty()) return "stop others, describe fewer or smaller ones, or say --overcommit";
  if (spec.resume) return "stop others, ask for fewer, or say --overcommit";
  return "stop others, ask for fewer or smaller ones, let them wait (--queue), or say --overcommit";
}

/// As many as there are names.
std::vector<Instance> make(const Instance& like, const std::vector<std::string>& names,
                           const std::vector<std::vector<PortForward>>& ports, const NewFolders& folders,
                           const LaunchBase& base, const LaunchSpec& spec, const std::stop_token& stop) {
  std::vector<Instance> made(names.size(), like);
  for (std::size_t i = 0; i < names.size(); ++i) {
    made[i].name = names[i];
    made[i].ports = ports[i];
    made[i].uuid = base.resumption.uuid.empty() ? random_uuid() : base.resumption.uuid;
    made[i].mac = base.resumption.mac.empty() ? random_mac() : base.resumption.mac;
    made[i].folder = folders.make(names[i]);
    make_files(made[i], base, spec);
    if (stop.stop_requested()) throw cancelled();
  }
  return made;
}

}  // namespace

std::vector<Launched> Instances::launch(const LaunchBase& base, const LaunchSpec& spec, const Accelerator& accelerator,
                                        std::stop_token stop, const LaunchHooks& hooks) const {
  check(base, spec);
  const Instance like = common(base, spec, accelerator, user_);
  require_bus_for(like.hardware.disk_bus, like.data.size());
  require_network_for(like.hardware, spec.ports, spec.count);
  const FileLock lock = lock_folder();
  const std::vector<Instance> mine = list();
  std::vector<Instance> before = made_before(mine, base, spec);
  const std::size_t missing = spec.count - before.size();
  Driver* const driver = driver_of(like);
  const bool starts_here = !driver && !spec.stopped;
  const std::size_t new_here = missing + static_cast<std::size_t>(std::ranges::count_if(before, never_ran));
  if (starts_here && !spec.overcommit && new_here != 0)
    require_room(room_of_host(everybodys()), like.hardware, new_here, more_room(spec));
  if (missing != 0) require_no_others(spec.name);
  const auto names = choose_names(spec.name, base.name, missing,
                                  [&](const std::string& name) { return std::filesystem::exists(root_ / name); });
  const auto ports = choose_ports(spec.ports, missing, mine, spec.fleet.empty() ? PortsOf::options : PortsOf::fleet);

  if (starts_here) start_rest(before, mine, accelerator, base.resumption.board, stop, hooks.told);
  std::vector<Launched> answers;
  for (const Instance& instance : before) answers.push_back(answer(instance, true));
  if (missing == 0) return answers;

  NewFolders folders(root_);
  std::vector<Instance> made = make(like, names, ports, folders, base, spec, stop);
  if (hooks.before_start) hooks.before_start(made);
  folders.move_into_place(made);
  for (Instance& instance : made) instance.folder = root_ / instance.name;
  if (driver)
    start_elsewhere(*driver, made, spec, stop, hooks.told);
  else if (!spec.stopped)
    start_all(made, base.resumption.board, stop, hooks.told);
  folders.keep();
  for (const Instance& instance : made) answers.push_back(answer(instance, false));
  return answers;
}

void Instances::require_no_others(const std::string& name) const {
  for (const Instance& other : everybodys())
    if (other.name == name && !sees(other))
      throw Error("the name \"" + name + "\" is taken on this host", "choose another --name");
}

}  // namespace kiln
