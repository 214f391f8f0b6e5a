#include "libvirt/domain_keeper.h"

#include <libvirt/virterror.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

#include "libvirt/domain_backup.h"
#include "machine/freezer.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr char program[] = "kiln-domain-keeper";

/// What libvirt and ssh find their daemons, keys and settings by.
std::vector<std::string> environment() {
  std::vector<std::string> words;
  for (const char* name : {"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "SSH_AUTH_SOCK",
                           "USER", "LOGNAME", "LIBVIRT_DEFAULT_URI", "LIBVIRT_AUTH_FILE"})
    if (const char* value = std::getenv(name)) words.push_back(std::string(name) + "=" + value);
  return words;
}

/// A domain and the connection that it needs. Shared with calls that are given up.
struct Reached {
  std::shared_ptr<Connection> connection;
  DomainHandle domain;
};

/// Nothing: not within 20 s. Throws Error with libvirt's words; the domain is null when the host has none such.
std::shared_ptr<Reached> reach(const DomainPlace& place) {
  Patience<std::shared_ptr<Reached>> opening([place] {
    auto reached = std::make_shared<Reached>();
    reached->connection = std::make_shared<Connection>(place.connect);
    reached->domain.reset(virDomainLookupByUUIDString(reached->connection->get(), place.uuid.c_str()));
    if (!reached->domain && last_libvirt_error() != VIR_ERR_NO_DOMAIN) throw libvirt_error("cannot ask for the domain");
    return reached;
  });
  auto reached = opening.wait(Clock::now() + 20s);
  if (!reached) throw Error(place.connect + " does not answer");
  return *reached;
}

class DomainGuest final : public FreezableGuest {
 public:
  explicit DomainGuest(DomainPlace place) : place_(std::move(place)) {}

  bool answers() override {
    try {
      reached_ = reach(place_);
      return reached_->domain && says_something();
    } catch (const Error&) {
      return false;
    }
  }

  /// libvirt itself waits for an agent that hangs in a hook as long as that takes.
  std::uint64_t freeze(Duration limit) override {
    Patience<std::uint64_t> freezing([reached = reached_] {
      const int file_systems = virDomainFSFreeze(reached->domain.get(), nullptr, 0, 0);
      if (file_systems < 0) throw libvirt_error("the guest agent did not freeze");
      return static_cast<std::uint64_t>(file_systems);
    });
    if (const auto file_systems = freezing.wait(Clock::now() + limit)) return *file_systems;
    throw Error("the guest agent did not freeze in time");
  }

  /// An agent that keeps file systems frozen refuses to tell the time.
  Thawed thaw() override {
    const int file_systems = virDomainFSThaw(reached_->domain.get(), nullptr, 0, 0);
    thawed_ = file_systems >= 0;
    if (thawed_) return {.file_systems = static_cast<std::uint64_t>(file_systems)};
    const Error error = libvirt_error("the guest agent did not thaw");
    thawed_ = tells_time();
    if (!thawed_) throw error;
    return {.words = error.what()};
  }

  bool is_thawed() override { return thawed_; }

  bool reach_again() override {
    try {
      reached_ = reach(place_);
      return reached_->domain && virDomainIsActive(reached_->domain.get()) != 0;
    } catch (const Error&) {
      return true;  // the daemon is gone: the machine may run all the same
    }
  }

 private:
  bool tells_time() const {
    long long seconds = 0;
    unsigned nanoseconds = 0;
    return virDomainGetTime(reached_->domain.get(), &seconds, &nanoseconds, 0) == 0;
  }
  /// One that is told not to tell the time says so: that is not none, and not one that hangs.
  bool says_something() const {
    if (tells_time()) return true;
    const int code = last_libvirt_error();
    return (code == VIR_ERR_INTERNAL_ERROR || code == VIR_ERR_OPERATION_UNSUPPORTED) && reached_->connection->alive();
  }

  const DomainPlace place_;
  std::shared_ptr<Reached> reached_;
  bool thawed_ = false;
};

/// True when nothing is left to end. `runs`: no job of ours can begin any longer. Else the daemon may work on for a
/// kiln that is gone, and lets a job wait for another one for 30 s.
bool try_to_end(const DomainPlace& place, const std::filesystem::path& folder, bool& runs) {
  const auto reached = reach(place);
  if (!reached->domain) return true;
  for (const auto until = Clock::now() + 35s; Clock::now() < until; std::this_thread::sleep_for(100ms)) {
    const bool there = is_backing_up_to(reached->domain.get(), folder);
    if (!there && (runs || virDomainIsActive(reached->domain.get()) != 1)) return true;
    runs = runs || there;
    if (there) virDomainAbortJob(reached->domain.get());
  }
  return !runs;
}

}  // namespace

Keeper start_domain_freezer(const DomainPlace& place, Duration limit) {
  return start_keeper({"freeze", place.connect, place.uuid, std::to_string(limit.count())}, program, environment());
}

Keeper start_backup_keeper(const DomainPlace& place, const std::filesystem::path& folder) {
  return start_keeper({"backup", place.connect, place.uuid, folder.string()}, program, environment());
}

int freeze_domain(const DomainPlace& place, Duration limit) {
  DomainGuest guest(place);
  return run_freezer(guest, {.limit = limit});
}

int end_backup_when_left(const DomainPlace& place, const std::filesystem::path& folder, int word) {
  ignore_ends_of_sessions();
  char said = 0;
  for (char byte = 0; ::read(word, &byte, 1) == 1;) said = byte;
  if (said == backup_done) return 0;
  std::error_code ignored;
  if (said == 0) return std::filesystem::remove_all(folder, ignored), 0;
  bool runs = said == backup_runs;
  for (const auto until = Clock::now() + 10min; Clock::now() < until; std::this_thread::sleep_for(1s)) try {
      if (!try_to_end(place, folder, runs)) continue;
      std::filesystem::remove_all(folder, ignored);
      return 0;
    } catch (const Error&) {
      // the daemon is gone for a while
    }
  return 1;
}

}  // namespace kiln
