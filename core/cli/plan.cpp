// kiln plan: shows what a build would do, and with --why what changed since the last one.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/pipelines.h"
#include "engine/plan.h"

namespace kiln::cli {
namespace {

const char* state_name(engine::State state) {
  switch (state) {
    case engine::State::hit:
      return "hit";
    case engine::State::miss:
      return "MISS";
    case engine::State::unknown:
      return "?";
  }
  return "";
}

const char* role_name(Role role) {
  return role == Role::source ? "source" : role == Role::change ? "change" : "sink";
}

/// 14231 ms → "about 14 s": an estimate has no tenths.
std::string about(Duration duration) {
  if (duration < std::chrono::minutes(1))
    return fmt::format("about {:.0f} s", std::max(1.0, static_cast<double>(duration.count()) / 1000));
  return "about " + format_duration(duration);
}

Json to_json(const engine::Plan& plan) {
  Json stages = Json::array();
  for (const engine::PlannedStage& stage : plan.stages) {
    std::string state = state_name(stage.state);
    std::transform(state.begin(), state.end(), state.begin(), [](unsigned char c) { return std::tolower(c); });
    Json one{{"stage", stage.number}, {"name", stage.name}, {"role", role_name(stage.role)}};
    one["state"] = stage.state == engine::State::unknown ? "unknown" : state;
    one["why"] = stage.why;
    if (stage.key) one["key"] = *stage.key;
    if (stage.estimate) one["estimate_seconds"] = static_cast<double>(stage.estimate->count()) / 1000;
    if (stage.result) one["result"] = *stage.result;
    stages.push_back(std::move(one));
  }
  return {{"pipeline", plan.pipeline}, {"stages", stages},
          {"hits", plan.hits()},       {"appliances", plan.appliances},
          {"boots", plan.boots},       {"estimate_seconds", static_cast<double>(plan.estimate.count()) / 1000}};
}

std::string counted(std::size_t count, const char* what) {
  return fmt::format(", {} {}{}", count, what, count == 1 ? "" : "s");
}

std::string sum_up(const engine::Plan& plan, const Home& home) {
  const std::size_t runs = plan.stages.size() - plan.hits();
  if (runs == 0) return "nothing to do: every result is there";
  std::string text = fmt::format("{} of {} stages will run", runs, plan.stages.size());
  if (plan.appliances > 0) text += counted(plan.appliances, "appliance");
  if (plan.boots > 0) text += counted(plan.boots, "boot");
  if (plan.estimate.count() > 0) text += ", " + about(plan.estimate);
  std::error_code unknown;
  const auto space = std::filesystem::space(home.root(), unknown);
  if (!unknown) text += fmt::format("; {} free in the kiln home", format_bytes(space.available));
  return text;
}

void print(Output& out, const engine::Plan& plan, bool all_reasons) {
  std::size_t name_width = 0, why_width = 0;
  for (const engine::PlannedStage& stage : plan.stages) {
    name_width = std::max(name_width, width_of(printable(stage.name)));
    if (stage.state != engine::State::hit)
      why_width = std::max(why_width, std::min<std::size_t>(50, width_of(printable(stage.why))));
  }
  for (const engine::PlannedStage& stage : plan.stages) {
    const bool hit = stage.state == engine::State::hit;
    std::string line = fmt::format("{:>2} {}  {}", stage.number, pad(printable(stage.name), name_width),
                                   pad(state_name(stage.state), 4));
    if (all_reasons || stage.state == engine::State::unknown)
      line += "   " + (stage.estimate && !hit ? pad(printable(stage.why), why_width) : printable(stage.why));
    else if (hit && stage.result)
      line += "   " + printable(*stage.result);
    if (stage.estimate && !hit) line += "   " + about(*stage.estimate);
    while (line.ends_with(' ')) line.pop_back();
    out.line(line);
  }
}

}  // namespace

int run_plan(Call& call) {
  const engine::Loaded loaded = load(call);
  if (!loaded.ok()) return report(loaded.problems, call.out);
  const engine::Plan plan = engine::make_plan(loaded.pipeline, call.services.engine());
  if (call.out.json()) {
    call.out.object(to_json(plan));
    return 0;
  }
  print(call.out, plan, call.args.has("why"));
  call.out.line(sum_up(plan, call.services.home()));
  return 0;
}

}  // namespace kiln::cli
