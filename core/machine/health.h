#pragma once
// How running instances are, asked of their QEMUs and their guest agents.

#include <string>
#include <vector>

#include "machine/instances.h"

namespace kiln {

/// What one instance answered.
struct Health {
  enum class Agent {
    none,  ///< there was none in this run
    answers,
    silent,  ///< there was one in this run, or its channel is open, and it does not answer
    busy,    ///< another kiln is talking to it
  };
  bool answered = false;  ///< QEMU did
  std::string run_state;  ///< QMP's RunState: "running", "paused", "guest-panicked", …
  Agent agent = Agent::none;

  /// For people: "ok", "agent silent", "no answer", "panicked", or what QMP calls it.
  std::string text() const;
};

std::string_view to_text(Health::Agent);

/// Asks all of them at the same time, and returns within `limit` and a little, in the order given. Those that do not
/// run are not asked: nothing is known of them.
std::vector<Health> health_of(const std::vector<Instance>&, Duration limit = std::chrono::milliseconds(800));

}  // namespace kiln
