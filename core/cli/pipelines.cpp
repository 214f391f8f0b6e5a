#include "cli/pipelines.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/console_observer.h"
#include "cli/errors.h"
#include "cli/json_observer.h"

namespace kiln::cli {

namespace {

/// "tcg (kvm failed its self-test, kiln doctor)"
std::string note(const Accelerator& accelerator, bool chosen) {
  if (accelerator.reason.empty()) return accelerator.name;
  return fmt::format("{} ({}{})", accelerator.name, accelerator.reason, chosen ? "" : ", kiln doctor");
}

/// Whether it is of interest what machines and appliances run on: then the probe is worth its time.
bool starts_machines(const engine::Pipeline& pipeline) {
  return std::any_of(pipeline.steps.begin(), pipeline.steps.end(), [](const engine::Step& step) {
    return step.stage->role() == Role::change ||
           (step.stage->role() == Role::sink && step.stage->access() == Access::file);
  });
}

}  // namespace

engine::Loaded load(Call& call) {
  engine::Settings settings;
  for (auto& [name, value] : call.args.pairs("set")) settings[name] = value;
  return engine::load_pipeline(call.services.pipeline_file(call.args.text("FILE")), call.services.registry(), settings);
}

int report(const std::vector<engine::Diagnostic>& problems, Output& out) {
  int exit_code = static_cast<int>(Failure::invalid);
  if (problems.size() == 1) exit_code = static_cast<int>(problems.front().failure);
  if (out.json()) {
    const std::string what = problems.size() == 1 ? problems.front().what : fmt::format("{} problems", problems.size());
    const std::string hint = problems.size() == 1 ? problems.front().hint : "";
    Json answer{{"error", {{"what", what}, {"evidence", Json::array()}, {"help", hint}, {"exit", exit_code}}}};
    answer["error"]["problems"] = Json::parse(engine::render_json(problems));
    out.object(answer);
  } else {
    std::fputs(engine::render(problems).c_str(), stderr);
  }
  return exit_code;
}

engine::RunResult run_observed(Call& call, const engine::Pipeline& pipeline, bool header,
                               const std::vector<std::string>& again) {
  const engine::RunOptions options{.again = again, .stop = call.stop};
  if (call.out.json()) {
    JsonObserver observer(call.out);
    return engine::run(pipeline, call.services.engine(), observer, options);
  }
  RunHeader first{.shown = header};
  for (const engine::Step& step : pipeline.steps) first.stages.push_back(step.use);
  if (header && starts_machines(pipeline))
    first.accelerator = [&] { return note(call.services.accelerator(), call.args.has("accel")); };
  ConsoleObserver observer(stderr, STDERR_FILENO, std::move(first));
  const std::stop_callback heard(call.stop, [&] { observer.stopping(); });
  return engine::run(pipeline, call.services.engine(), observer, options);
}

Table import_of(const Args& args, const std::string& what) {
  Table import{{what.find("://") != std::string::npos ? "url" : "file", Value{what}}};
  for (const char* name : {"sha256", "sha512", "checksums", "signature", "keyring", "refresh"})
    if (args.has(name)) import[name] = Value{args.text(name)};
  for (const auto& [option, name] : {std::pair("mirror", "mirrors"), std::pair("allow", "allow")}) {
    if (!args.has(option)) continue;
    List all;
    for (const std::string& one : args.all(option)) all.push_back(Value{one});
    import[name] = Value{std::move(all)};
  }
  return import;
}

Table preflight_of(const Args& args) {
  Table out;
  if (args.has("profile")) {
    const std::string given = args.text("profile");
    const bool is_path = given.find('/') != std::string::npos;
    out["profile"] = Value{is_path ? std::filesystem::absolute(given).string() : given};
  }
  for (const char* name : {"fix", "force"})
    if (args.has(name)) out[name] = Value{true};
  return out;
}

std::optional<engine::RunResult> run_short(Call& call, const std::string& name,
                                           const std::vector<engine::StageCall>& stages,
                                           const std::vector<std::string>& again) {
  const engine::Loaded loaded = engine::make_pipeline(name, stages, call.services.registry());
  if (!loaded.ok()) {
    report(loaded.problems, call.out);
    return std::nullopt;
  }
  return run_observed(call, loaded.pipeline, false, again);
}

}  // namespace kiln::cli
