#pragma once
// What a run tells the world. The engine writes nothing to a terminal: it has one Observer, and everything a person or
// a program may want to know while a pipeline runs arrives there.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/context.h>

namespace kiln::engine {

/// One thing that happened. Only the members named beside its kind are set.
struct Event {
  enum class Kind {
    run_started,     ///< name (the pipeline's), stages, cached
    stage_cached,    ///< stage, name, text (what an earlier run found or made), facts
    stage_started,   ///< stage, name
    stage_progress,  ///< stage, name, progress, elapsed
    log,             ///< stage, name, text: one line
    warning,         ///< stage (0: of the run), name, text
    finding,         ///< stage, name, text (what was found), finding
    stage_done,      ///< stage, name, text (its summary), elapsed, facts (those it added or changed)
    stage_failed,    ///< stage, name, text, error, elapsed
    run_done,        ///< name, elapsed, facts (all of the disk's)
    run_failed,      ///< name, text, error, elapsed
  };

  Kind kind = Kind::log;
  std::size_t stage = 0;  ///< its number in the pipeline, from 1; 0: the run as a whole
  std::string name = {};
  std::string text = {};
  Progress progress = {};
  Duration elapsed = {};
  Facts facts = {};
  std::optional<Error> error = {};
  std::size_t stages = 0, cached = 0;
  std::optional<Finding> finding = {};
};

/// The kind as JSON lines name it: "stage_started".
std::string_view to_string(Event::Kind);

/// Calls come one at a time, from any thread. A call that throws ends the run.
class Observer {
 public:
  virtual void on(const Event&) = 0;

 protected:
  ~Observer() = default;
};

/// Keeps every event, for tests and for verbs that only want the last.
class Recorder final : public Observer {
 public:
  void on(const Event& event) override { events.push_back(event); }
  std::vector<Event> events;
};

}  // namespace kiln::engine
