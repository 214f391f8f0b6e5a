// Launching: everything that can be refused is refused first, and what follows is undone unless all of it succeeds.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <random>
#include <set>

#include <nlohmann/json.hpp>

#include "machine/instance_record.h"
#include "machine/instances.h"
#include "machine/qemu.h"
#include "machine/seed.h"
#include "machine/serial.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

std::string random_hex() {
  std::random_device random;
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%08x%08x", random(), random());
  return text.data();
}

/// An image's name as an instance's: what a host name cannot hold becomes '-'.
std::string name_from(std::string_view image) {
  std::string name;
  for (const char c : image.substr(0, 50)) {
    const bool fits = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (fits || (!name.empty() && name.back() != '-')) name.push_back(fits ? c : '-');
  }
  while (name.ends_with('-')) name.pop_back();
  return name.empty() ? "machine" : name;
}

std::string choose_name(const std::filesystem::path& root, const LaunchBase& base, const LaunchSpec& spec) {
  if (spec.name.empty()) {
    const std::string stem = name_from(base.name);
    std::string name = stem;
    for (int n = 2; std::filesystem::exists(root / name); ++n) name = stem + "-" + std::to_string(n);
    return name;
  }
  if (!valid_instance_name(spec.name))
    throw invalid("\"" + spec.name + "\" cannot name an instance",
                  "use letters, digits and '-', at most 63, with a letter or digit at both ends");
  if (std::filesystem::exists(root / spec.name))
    throw Error("there is already an instance \"" + spec.name + "\"",
                "choose another --name, or: kiln rm " + spec.name);
  return spec.name;
}

/// True when nothing listens on the loopback address's port now.
bool is_free(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw system_error("cannot make a socket", errno);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool ok = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

void check_ports(const std::vector<PortForward>& ports, const std::vector<Instance>& others) {
  std::set<std::uint16_t> seen;
  for (const PortForward& port : ports) {
    const std::string number = std::to_string(port.host);
    const std::string hint = "choose another, for example --port " +
                             std::to_string(port.host < 64000 ? port.host + 1000 : 2222) + ":" +
                             std::to_string(port.guest);
    if (port.host == 0 || port.guest == 0) throw invalid("port 0 cannot be forwarded", "give HOST:GUEST, 1 to 65535");
    if (!seen.insert(port.host).second) throw invalid("port " + number + " of this host is given twice", hint);
    for (const Instance& other : others)
      for (const PortForward& taken : other.ports)
        if (other.state == Instance::State::running && taken.host == port.host)
          throw Error("port " + number + " of this host is used by instance \"" + other.name + "\"", hint);
    if (!is_free(port.host)) throw Error("port " + number + " of this host is in use", hint);
  }
}

/// The folder and the process of an instance in the making; both gone unless keep() was called.
class Making {
 public:
  explicit Making(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
  }
  Making(const Making&) = delete;
  Making& operator=(const Making&) = delete;
  ~Making() {
    if (kept_) return;
    if (process_ && signal_process(*process_, SIGKILL)) wait_gone(*process_, 10s);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  /// Nothing when the program ended at once.
  std::optional<ProcessId> start(const Command& qemu) {
    process_ = identify(start_daemon(qemu, folder_ / machine_file::qemu_log, folder_));
    return process_;
  }
  void keep() { kept_ = true; }

 private:
  std::filesystem::path folder_;
  std::optional<ProcessId> process_;
  bool kept_ = false;
};

Error did_not_start(const std::filesystem::path& folder) {
  SerialWatch words("");
  words.feed(LogTail(folder / machine_file::qemu_log).next());
  return Error("qemu did not start", "its own words are above", words.tail());
}

void wait_until_it_runs(const std::filesystem::path& folder, const ProcessId& process, const std::stop_token& stop) {
  const auto until = Clock::now() + 30s;
  for (;;) {
    if (wait_gone(process, 10ms)) throw did_not_start(folder);
    if (stop.stop_requested()) throw cancelled();
    const bool last = Clock::now() >= until;
    try {
      Qmp qmp = Qmp::connect(folder / machine_file::qmp, 200ms, stop);
      const auto status = qmp.execute("query-status");
      if (status.value("running", false)) return;
      if (last)
        throw Error("qemu did not run the machine within 30 s: it is \"" + status.value("status", "") + "\"",
                    "is the host's disk full, or the host out of memory?");
    } catch (const Error& e) {
      if (is_cancelled(e) || last) throw;
    }
  }
}

MachineSpec machine_of(const Instance& instance, const LaunchBase& base) {
  MachineSpec machine;
  machine.name = instance.name;
  machine.accelerator = instance.accelerator;
  machine.firmware = instance.firmware;
  machine.memory = instance.memory;
  machine.cpus = instance.cpus;
  machine.base = {std::filesystem::absolute(base.disk.file), base.disk.format};
  machine.seed = true;
  machine.ports = instance.ports;
  return machine;
}

Instance record_of(const std::filesystem::path& root, const LaunchBase& base, const LaunchSpec& spec,
                   const Accelerator& accelerator, const InstanceUser& user) {
  Instance instance;
  instance.name = choose_name(root, base, spec);
  instance.account = user.account;
  instance.of_server = user.of_server;
  instance.region = base.region;
  instance.image_id = base.image_id;
  instance.image = base.image;
  instance.created = now_utc();
  instance.accelerator = accelerator.name;
  instance.firmware = base.firmware;
  instance.memory = spec.memory;
  instance.cpus = spec.cpus;
  instance.ports = spec.ports;
  instance.boot_id = host_boot_id();
  instance.folder = root / instance.name;
  return instance;
}

}  // namespace

void Instances::require_no_others(const std::string& name) const {
  for (const Instance& other : everybodys())
    if (other.name == name && !sees(other))
      throw Error("the name \"" + name + "\" is taken on this host", "choose another --name");
}

Launched Instances::launch(const LaunchBase& base, const LaunchSpec& spec, const Accelerator& accelerator,
                           std::stop_token stop) const {
  if (spec.cpus == 0) throw invalid("a machine needs at least one cpu");
  if (spec.memory < Bytes{32u << 20}) throw invalid("a machine needs at least 32 MiB of memory");
  const FileLock lock = lock_folder();
  require_no_others(spec.name);
  Instance instance = record_of(root_, base, spec, accelerator, user_);
  check_ports(spec.ports, list());

  Making making(instance.folder);
  const MachineSpec machine = machine_of(instance, base);
  write_seed(instance.folder / machine_file::seed,
             {"iid-" + instance.name + "-" + random_hex(), instance.name, spec.ssh_keys, spec.user_data});
  prepare_folder(instance.folder, machine);
  write_instance(instance);
  const auto process = making.start({"qemu-system-x86_64", qemu_arguments(machine)});
  if (!process) throw did_not_start(instance.folder);
  instance.process = *process;
  write_instance(instance);
  wait_until_it_runs(instance.folder, *process, stop);
  making.keep();
  return {instance.name, instance.folder / machine_file::serial_log, instance.process.pid};
}

}  // namespace kiln
