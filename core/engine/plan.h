#pragma once
// What a run would do, and why. Pure data, made without changing anything.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine/pipeline.h"

namespace kiln::engine {

struct Services;  // engine/runner.h

/// How a stage stands before a run.
enum class State {
  hit,      ///< nothing to do: sealed, or what it made is still there
  miss,     ///< it will run
  unknown,  ///< decided when an earlier stage has run: a source whose content was never seen
};

struct PlannedStage {
  std::size_t number = 0;
  std::string name;
  Role role = Role::change;
  State state = State::miss;
  std::optional<std::string> key;  ///< 64 hexadecimal digits; absent while the content before it is unknown
  std::string why;                 ///< "sealed 2 h ago", "hostname changed: \"a\" → \"b\"", "follows 2", "never run"
  std::optional<Duration> estimate;   ///< what it took the last time
  std::optional<std::string> result;  ///< hit: the summary of the run that made it
};

struct Plan {
  std::string pipeline;
  std::vector<PlannedStage> stages;
  Duration estimate{};         ///< the sum of the known estimates of what will run
  std::size_t appliances = 0;  ///< that will be started: neighbouring changes share one
  std::size_t boots = 0;       ///< machines that will be started

  std::size_t hits() const;
};

/// `again`: stages (by name or number) that run whatever the cache holds. A name that fits none is an Error.
Plan make_plan(const Pipeline&, const Services&, const std::vector<std::string>& again = {});

}  // namespace kiln::engine
