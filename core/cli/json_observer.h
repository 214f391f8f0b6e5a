#pragma once
// A run as a program follows it: every event is one JSON object on one line of standard output.

#include <chrono>

#include "cli/output.h"
#include "engine/event.h"

namespace kiln::cli {

/// {"event": "stage_done", "stage": 3, "name": "sysprep", "text": "21 operations", "seconds": 14.2, "facts": {…}}
Json event_json(const engine::Event&);

class JsonObserver final : public engine::Observer {
 public:
  explicit JsonObserver(Output& out) : out_(out) {}
  /// Progress is passed on at most ten times a second; everything else always, and at once.
  void on(const engine::Event&) override;

 private:
  Output& out_;
  std::chrono::steady_clock::time_point last_progress_{};
};

}  // namespace kiln::cli
