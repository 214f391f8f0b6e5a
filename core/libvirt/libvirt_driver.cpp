#include "libvirt/libvirt_driver.h"

#include <libvirt/virterror.h>

#include <algorithm>
#include <map>

#include <kiln/file.h>

#include "libvirt/console.h"
#include "machine/seed.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr Duration patience = 20s;  // of a verb that works on one host

std::string volume_of(const Instance& instance, const char* what) {
  return "instance-" + instance.uuid + what;
}
constexpr char overlay[] = ".qcow2", seed_disk[] = ".iso", serial_log[] = ".log";

/// Null when the host has it no longer.
DomainHandle find_domain(const Connection& connection, const Instance& instance) {
  DomainHandle domain(virDomainLookupByUUIDString(connection.get(), instance.uuid.c_str()));
  if (!domain && last_libvirt_error() != VIR_ERR_NO_DOMAIN)
    throw libvirt_error("cannot ask " + instance.connect + " for its domain");
  return domain;
}

DomainHandle get_domain(const Connection& connection, const Instance& instance) {
  DomainHandle domain = find_domain(connection, instance);
  if (!domain)
    throw Error("instance \"" + instance.name + "\" is lost: " + instance.connect + " has no such domain",
                "remove it: kiln rm " + instance.name);
  return domain;
}

struct Seen {
  Instance::State state;
  std::string reason;
};

Seen state_of(const Connection& connection, const Instance& instance) {
  const DomainHandle domain = find_domain(connection, instance);
  if (!domain) return {Instance::State::lost, "its host has no such domain"};
  int state = 0, ignored = 0;
  if (virDomainGetState(domain.get(), &state, &ignored, 0) != 0) throw libvirt_error("cannot ask for its state");
  switch (state) {
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
      return {Instance::State::running, "it is paused on its host"};
    case VIR_DOMAIN_CRASHED:
      return {Instance::State::stopped, "it crashed"};
    case VIR_DOMAIN_SHUTOFF:
      return {Instance::State::stopped, ""};
    default:
      return {Instance::State::running, ""};
  }
}

/// The states of one host's instances. Runs alone, and owns all it uses.
std::vector<Seen> states_of(Connections& connections, const std::string& uri, const std::vector<Instance>& instances) {
  std::vector<Seen> seen;
  const auto connection = connections.open(uri);
  seen.reserve(instances.size());
  for (const Instance& instance : instances) seen.push_back(state_of(*connection, instance));
  return seen;
}

bool ended_within(const Connection& connection, const Instance& instance, Duration limit, const std::stop_token& stop) {
  const auto until = Clock::now() + limit;
  for (;;) {
    if (state_of(connection, instance).state != Instance::State::running) return true;
    if (stop.stop_requested()) throw cancelled();
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(50ms);
  }
}

/// The domain's disks, filled; the seed is made beside the record first.
void make_volumes(const Storage& storage, const Instance& instance, const Seed& seed, DomainSpec& spec) {
  const VolumeHandle base(virStorageVolLookupByPath(storage.connection(), instance.base.file.c_str()));
  virStorageVolInfo info{};
  if (!base || virStorageVolGetInfo(base.get(), &info) != 0)
    throw libvirt_error("the image's disk is no longer on the host");
  spec.disk = storage.create({.name = volume_of(instance, overlay),
                              .format = "qcow2",
                              .capacity = std::max<std::uint64_t>(info.capacity, instance.disk_size),
                              .base = instance.base.file,
                              .base_format = instance.base.format});
  const auto file = instance.folder / "seed.iso";
  write_seed(file, seed);
  const std::string bytes = read_text(file);
  std::filesystem::remove(file);
  spec.seed = storage.create({.name = volume_of(instance, seed_disk), .format = "raw", .capacity = bytes.size()});
  upload_bytes(storage, volume_of(instance, seed_disk), bytes);
  spec.serial_log = storage.create({.name = volume_of(instance, serial_log), .format = "raw"});
}

DomainSpec spec_of(const Instance& instance, const std::string& home) {
  DomainSpec spec;
  spec.name = "kiln-" + instance.name;
  spec.uuid = instance.uuid;
  spec.accelerator = instance.accelerator;
  spec.hardware = instance.hardware;
  spec.mac = instance.mac;
  spec.base = instance.base.file;
  spec.base_format = instance.base.format;
  spec.origin = {instance.name, instance.image, instance.image_id, home, instance.account};
  return spec;
}

void define(const Connection& connection, const DomainSpec& spec, const std::string& host, bool start) {
  const DomainHandle domain(virDomainDefineXML(connection.get(), domain_xml(spec).c_str()));
  if (!domain) throw libvirt_error("cannot define the domain " + spec.name + " on " + host, "is the name taken there?");
  if (start && virDomainCreate(domain.get()) != 0)
    throw libvirt_error("cannot start the domain " + spec.name + " on " + host, "libvirt's own words are above");
}

}  // namespace

struct LibvirtDriver::State {
  std::function<std::string()> home;
  std::shared_ptr<Connections> connections = std::make_shared<Connections>();

  std::shared_ptr<Connection> connect(const std::string& uri, const std::stop_token& stop = {}) const {
    Patience<std::shared_ptr<Connection>> opening([all = connections, uri] { return all->open(uri); });
    if (auto connection = opening.wait(Clock::now() + patience, stop)) return *connection;
    throw Error(uri + " does not answer within 20 s", "is the host up, and libvirtd running there?");
  }
};

LibvirtDriver::LibvirtDriver(std::function<std::string()> home)
    : state_(std::make_unique<State>(State{std::move(home)})) {}

LibvirtDriver::~LibvirtDriver() = default;

std::string LibvirtDriver::resolve(const std::string& connect, const std::stop_token& stop) {
  const auto connection = state_->connect(connect, stop);
  const char* type = virConnectGetType(connection->get());
  const std::string uri = connect.find("://") == std::string::npos ? connection->uri() : connect;
  if (type == nullptr || std::string_view(type) != "QEMU")
    throw Error(uri + " does not run machines with QEMU",
                "give a URI such as qemu:///system or qemu+ssh://host/system");
  return uri;
}

std::optional<std::string> LibvirtDriver::accelerator(const std::string& connect) {
  const std::size_t authority = connect.find("://");
  if (authority == std::string::npos || connect.compare(authority + 3, 1, "/") == 0) return std::nullopt;
  const auto connection = state_->connect(connect);
  const std::unique_ptr<char, Freed<free>> kvm(
      virConnectGetDomainCapabilities(connection->get(), nullptr, "x86_64", "q35", "kvm", 0));
  return kvm ? "kvm" : "tcg";
}

void LibvirtDriver::require_possible(const LaunchSpec& spec) {
  if (!spec.ports.empty())
    throw refused("ports of a libvirt domain cannot be forwarded: its user-mode network has no way in",
                  "leave out --port; kiln console reaches the guest, and a port needs --driver qemu");
  for (const auto& [given, impossible] : {std::pair{spec.firmware, "secure"}, {spec.disk_bus, "nvme"}})
    if (given == impossible)
      throw refused("kiln makes no libvirt domain with \"" + given + "\"", "choose another, or --driver qemu");
  if (spec.personalise)
    throw refused("a disk on another host cannot be given an identity before it starts", "choose --driver qemu");
  if (!spec.network.empty() && spec.network != "user")
    throw refused("kiln makes no libvirt domain on a network of its host's", "leave out --network, or --driver qemu");
}

BaseOnHost LibvirtDriver::prepare(const std::string& connect, const BaseImage& image) {
  return prepare_base(Storage(state_->connect(connect, image.stop), connect), image);
}

Capture LibvirtDriver::capture(const DomainTarget& target, const CaptureSpec& spec, const std::stop_token& stop) {
  return capture_domain(state_->connect(target.connect, stop), target, spec, stop);
}

void LibvirtDriver::look(const std::vector<Instance*>& instances, Duration limit) {
  std::map<std::string, std::vector<Instance*>> by_host;
  for (Instance* instance : instances) by_host[instance->connect].push_back(instance);
  std::map<std::string, Patience<std::vector<Seen>>> asked;
  for (const auto& [uri, theirs] : by_host) {
    std::vector<Instance> copies;
    for (const Instance* instance : theirs) copies.push_back(*instance);
    asked.emplace(uri, [all = state_->connections, host = uri, copies] { return states_of(*all, host, copies); });
  }
  const auto until = Clock::now() + limit;
  for (auto& [uri, answer] : asked) {
    std::optional<std::vector<Seen>> seen;
    std::string reason = uri + " does not answer";
    try {
      seen = answer.wait(until);
    } catch (const Error& error) {
      reason = error.what();
    }
    const std::vector<Instance*>& theirs = by_host[uri];
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      theirs[i]->state = seen ? (*seen)[i].state : Instance::State::unknown;
      theirs[i]->reason = seen ? (*seen)[i].reason : reason;
    }
  }
}

void LibvirtDriver::launch(const Instance& instance, const Seed& seed, bool start, const std::stop_token& stop) {
  const auto connection = state_->connect(instance.connect, stop);
  const Storage storage(connection, instance.connect);
  DomainSpec spec = spec_of(instance, state_->home());
  try {
    make_volumes(storage, instance, seed, spec);
    if (stop.stop_requested()) throw cancelled();
    define(*connection, spec, instance.connect, start);
  } catch (...) {
    try {
      remove(instance);
    } catch (const Error&) {
      // what failed first is what the user has to hear
    }
    throw;
  }
}

void LibvirtDriver::start(const Instance& instance, const std::stop_token& stop) {
  const auto connection = state_->connect(instance.connect, stop);
  const DomainHandle domain = get_domain(*connection, instance);
  if (virDomainCreate(domain.get()) != 0)
    throw libvirt_error("cannot start instance \"" + instance.name + "\" on " + instance.connect,
                        "libvirt's own words are above");
}

Stopped LibvirtDriver::stop(const Instance& instance, Duration limit, const std::stop_token& stop) {
  const auto connection = state_->connect(instance.connect, stop);
  const DomainHandle domain = get_domain(*connection, instance);
  if (state_of(*connection, instance).state != Instance::State::running) return Stopped::already;
  for (const auto until = Clock::now() + limit;;) {
    const bool asked = virDomainShutdown(domain.get()) == 0;
    const auto left = std::chrono::duration_cast<Duration>(until - Clock::now());
    // What was refused may be possible in a moment: something else works on the domain.
    if (ended_within(*connection, instance, asked ? left : std::min<Duration>(left, 500ms), stop))
      return Stopped::by_guest;
    if (asked || Clock::now() >= until) break;
  }
  const bool gracefully = virDomainDestroyFlags(domain.get(), VIR_DOMAIN_DESTROY_GRACEFUL) == 0;
  if (!gracefully && virDomainDestroy(domain.get()) != 0 &&
      state_of(*connection, instance).state == Instance::State::running)
    throw libvirt_error("cannot stop instance \"" + instance.name + "\" on " + instance.connect);
  return gracefully ? Stopped::by_qemu : Stopped::killed;
}

void LibvirtDriver::remove(const Instance& instance) {
  const auto connection = state_->connect(instance.connect);
  if (const DomainHandle domain = find_domain(*connection, instance)) {
    virDomainDestroy(domain.get());  // fails when it does not run
    constexpr unsigned all = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                             VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
    if (virDomainUndefineFlags(domain.get(), all) != 0)
      throw libvirt_error("cannot remove the domain of instance \"" + instance.name + "\" on " + instance.connect);
  }
  const Storage storage(connection, instance.connect);
  for (const char* what : {overlay, seed_disk, serial_log}) storage.remove(volume_of(instance, what));
}

std::string LibvirtDriver::serial_text(const Instance& instance, std::uint64_t last_bytes) {
  const Storage storage(state_->connect(instance.connect), instance.connect);
  return storage.read_end(volume_of(instance, serial_log), last_bytes);
}

std::unique_ptr<Driver::Console> LibvirtDriver::open_console(const Instance& instance) {
  const auto connection = state_->connect(instance.connect);
  return open_domain_console(connection, get_domain(*connection, instance));
}

}  // namespace kiln
