#include "cli/json_observer.h"

#include <nlohmann/json.hpp>

#include "cli/errors.h"

namespace kiln::cli {
namespace {

using Kind = engine::Event::Kind;

const char* unit_name(Progress::Unit unit) {
  switch (unit) {
    case Progress::Unit::bytes:
      return "bytes";
    case Progress::Unit::operations:
      return "operations";
    case Progress::Unit::fraction:
      return "fraction";
  }
  return "";
}

bool has_time(Kind kind) {
  return kind == Kind::stage_progress || kind == Kind::stage_done || kind == Kind::stage_failed ||
         kind == Kind::run_done || kind == Kind::run_failed;
}

}  // namespace

Json event_json(const engine::Event& event) {
  Json json{{"event", engine::to_string(event.kind)}};
  if (event.stage != 0) json["stage"] = event.stage;
  if (!event.name.empty()) json["name"] = event.name;
  if (event.kind == Kind::run_started) {
    json["stages"] = event.stages;
    json["cached"] = event.cached;
  }
  if (!event.text.empty()) json["text"] = event.text;
  if (event.kind == Kind::stage_progress)
    json["progress"] = {{"unit", unit_name(event.progress.unit)},
                        {"done", event.progress.done},
                        {"total", event.progress.total},
                        {"what", event.progress.what}};
  if (has_time(event.kind)) json["seconds"] = static_cast<double>(event.elapsed.count()) / 1000;
  if (!event.facts.empty()) json["facts"] = event.facts;
  if (event.finding) json["finding"] = finding_json(*event.finding);
  if (event.error) json["error"] = error_json(*event.error)["error"];
  return json;
}

void JsonObserver::on(const engine::Event& event) {
  if (event.kind == Kind::stage_progress) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_progress_ < std::chrono::milliseconds(100)) return;
    last_progress_ = now;
  }
  out_.object(event_json(event));
  out_.flush();
}

}  // namespace kiln::cli
