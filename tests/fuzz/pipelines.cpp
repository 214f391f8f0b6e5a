#include "pipelines.h"

#include <algorithm>
#include <exception>
#include <sstream>

#include <kiln/file.h>
#include <kiln/testing.h>

#include "engine/plan.h"
#include "engine/runner.h"
#include "support/temp.h"

namespace kiln::fuzz {
namespace {

namespace fs = std::filesystem;

std::string sample(const Param& param);

std::string record_of(const Type& type) {
  std::string out = "{ ";
  for (const Param& field : type.fields) out += (out.size() > 2 ? ", " : "") + field.name + " = " + sample(field);
  return out + " }";
}

std::string one_of(const Param& param) {
  if (!param.choices.empty()) return '"' + param.choices.back() + '"';
  switch (param.type.kind) {
    case Kind::boolean:
      return "true";
    case Kind::integer:
      return "7";
    case Kind::size:
      return "\"20G\"";
    case Kind::duration:
      return "\"90s\"";
    case Kind::path:
    case Kind::input_path:
      return "\"seed\"";
    case Kind::table:
      return "{ key = \"value\" }";
    case Kind::record:
      return record_of(param.type);
    default:
      return "\"text\"";
  }
}

std::string sample(const Param& param) {
  return param.type.list ? "[" + one_of(param) + "]" : one_of(param);
}

/// Every parameter at once is often refused by the stage's own check, and each alone is looked at as well.
std::vector<std::string> pipelines_of(const Stage& stage) {
  const std::string begin =
      stage.role() == Role::source ? "" : "[[stage]]\nuse = \"import\"\nfile = \"seed\"\nformat = \"raw\"\n";
  const std::string use = begin + "[[stage]]\nuse = \"" + stage.about().name + "\"\n";
  std::vector<std::string> out;
  std::string all = use;
  for (const Param& param : stage.about().params) {
    const std::string line = param.name + " = " + sample(param) + "\n";
    out.push_back(use + line);
    all += line;
  }
  out.push_back(all);
  return out;
}

std::string wrong_place(const engine::Diagnostic& problem, std::string_view text) {
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  if (problem.what.empty()) return "a problem without words";
  if (problem.place.line > lines) return "a problem in line " + std::to_string(problem.place.line);
  return {};
}

}  // namespace

struct Pipelines::State {
  test::TempDir dir;
  engine::Registry registry{{std::string(KILN_BINARY_DIR) + "/lib/kiln/plugins"}};
  fakes::FakeCatalog catalog;
  fakes::FakeMachines machines;
  engine::Services services{.registry = registry,
                            .catalog = catalog,
                            .machines = machines,
                            .start_appliance = {},
                            .home = dir / "home",
                            .layer_format = registry.get("qcow2")};
  std::vector<std::string> seeds;
  std::size_t planned = 0;
};

Pipelines::Pipelines() : state_(std::make_unique<State>()) {
  write_text(state_->dir / "seed", "what a parameter of a file or a folder names");
  for (const char* folder : {"pipelines", "examples", "tests/examples"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(KILN_SOURCE_DIR) / folder))
      if (entry.path().extension() == ".toml") state_->seeds.push_back(read_text(entry.path()));
  std::ranges::sort(state_->seeds);
  for (const std::string& name : state_->registry.stage_names())
    std::ranges::copy(pipelines_of(state_->registry.stage(name)), std::back_inserter(state_->seeds));
}

Pipelines::~Pipelines() = default;

const std::vector<std::string>& Pipelines::seeds() const {
  return state_->seeds;
}

std::size_t Pipelines::planned() const {
  return state_->planned;
}

std::string Pipelines::exercise(std::string_view text) try {
  const fs::path file = state_->dir / "p.toml";
  fs::remove(file);
  write_text(file, std::string(text));
  const engine::Loaded loaded = engine::load_pipeline("p.toml", state_->registry, {}, state_->dir.path());
  for (const engine::Diagnostic& problem : loaded.problems)
    if (const std::string wrong = wrong_place(problem, text); !wrong.empty()) return wrong;
  engine::render(loaded.problems);
  engine::render_json(loaded.problems);
  if (!loaded.ok()) return {};
  engine::make_plan(loaded.pipeline, state_->services);
  ++state_->planned;
  return {};
} catch (const Error& error) {
  return std::string(error.what()).empty() ? "an Error without words" : "";
} catch (const std::exception& error) {
  return std::string("another exception: ") + error.what();
}

}  // namespace kiln::fuzz
