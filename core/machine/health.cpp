#include "machine/health.h"

#include <thread>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "machine/guest_access.h"
#include "machine/qemu.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

Duration left(Clock::time_point until) {
  return std::max<Duration>(1ms, std::chrono::floor<Duration>(until - Clock::now()));
}

/// Which run of the machine an answer of the agent was of.
std::string run_of(const Instance& instance) {
  return std::to_string(instance.process.pid) + " " + std::to_string(instance.process.started) + "\n";
}

bool was_seen(const Instance& instance) {
  try {
    return read_text(instance.folder / machine_file::agent_seen, 100) == run_of(instance);
  } catch (const Error&) {
    return false;
  }
}

void remember(const Instance& instance) noexcept {
  try {
    if (!was_seen(instance)) write_text(instance.folder / machine_file::agent_seen, run_of(instance));
  } catch (const std::exception&) {
    // it will be seen again
  }
}

/// Whether a program in the guest has the agent's channel open.
bool channel_is_open(Qmp& qmp, Clock::time_point until) {
  for (const json& device : qmp.execute("query-chardev", left(until)))
    if (device.value("label", "") == "agent") return device.value("frontend-open", false);
  return false;
}

Health::Agent ask_agent(const Instance& instance, bool open, Clock::time_point until) {
  if (!open) return was_seen(instance) ? Health::Agent::silent : Health::Agent::none;
  const auto lock = try_lock_agent(instance);
  if (!lock) return Health::Agent::busy;
  try {
    if (!GuestAgent::connect(instance.folder / machine_file::agent, left(until)).ping(left(until)))
      return Health::Agent::silent;
  } catch (const std::exception&) {
    return Health::Agent::silent;
  }
  remember(instance);
  return Health::Agent::answers;
}

void ask(const Instance& instance, Clock::time_point until, Health& health) noexcept {
  try {
    bool open = false;
    {
      Qmp qmp = Qmp::connect(instance.folder / machine_file::qmp, left(until));
      health.run_state = qmp.execute("query-status", left(until)).at("status").get<std::string>();
      open = channel_is_open(qmp, until);
    }
    health.answered = true;
    if (health.run_state == "running") health.agent = ask_agent(instance, open, until);
  } catch (const std::exception&) {
    health.answered = false;  // hung, or gone since its record was read
  }
}

}  // namespace

std::string_view to_text(Health::Agent agent) {
  switch (agent) {
    case Health::Agent::none:
      return "none";
    case Health::Agent::answers:
      return "answers";
    case Health::Agent::silent:
      return "silent";
    case Health::Agent::busy:
      return "busy";
  }
  return "";
}

std::string Health::text() const {
  if (!answered) return "no answer";
  if (run_state == "guest-panicked") return "panicked";
  if (run_state != "running") return run_state;
  return agent == Agent::silent ? "agent silent" : "ok";
}

std::vector<Health> health_of(const std::vector<Instance>& instances, Duration limit) {
  const auto until = Clock::now() + limit;
  std::vector<Health> all(instances.size());
  std::vector<std::jthread> threads;  // most of them wait; a hung QEMU costs the others nothing
  for (std::size_t i = 0; i < instances.size(); ++i)
    if (instances[i].state == Instance::State::running)
      threads.emplace_back([&instance = instances[i], &health = all[i], until] { ask(instance, until, health); });
  return threads.clear(), all;
}

}  // namespace kiln
