#include "engine/event.h"

namespace kiln::engine {

std::string_view to_string(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::run_started:
      return "run_started";
    case Event::Kind::stage_cached:
      return "stage_cached";
    case Event::Kind::stage_started:
      return "stage_started";
    case Event::Kind::stage_progress:
      return "stage_progress";
    case Event::Kind::log:
      return "log";
    case Event::Kind::warning:
      return "warning";
    case Event::Kind::finding:
      return "finding";
    case Event::Kind::stage_done:
      return "stage_done";
    case Event::Kind::stage_failed:
      return "stage_failed";
    case Event::Kind::run_done:
      return "run_done";
    case Event::Kind::run_failed:
      return "run_failed";
  }
  return "unknown";
}

}  // namespace kiln::engine
