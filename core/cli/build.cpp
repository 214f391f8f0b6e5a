// kiln build: runs a pipeline, from where its results are still there.
#include <fmt/format.h>

#include "cli/pipelines.h"

namespace kiln::cli {
namespace {

std::string fact(const Facts& facts, std::string_view name) {
  const auto it = facts.find(name);
  return it == facts.end() ? std::string() : it->second;
}

/// "image web:2026-11-22.1  sha256:7c1f…  in 51.6 s; launch it with: kiln launch web"
std::string sum_up(Call& call, const engine::Pipeline& pipeline, const engine::RunResult& result) {
  const std::string elapsed = "  in " + format_duration(result.elapsed);
  const std::string reference = fact(result.facts, "image.reference");
  const auto image = reference.empty() ? std::nullopt : call.services.catalog().find(reference);
  if (!image) return pipeline.name + elapsed;
  return fmt::format("image {}  sha256:{}…{}; launch it with: kiln launch {}", reference,
                     to_hex(image->content).substr(0, 12), elapsed, image->name);
}

}  // namespace

int run_build(Call& call) {
  const engine::Loaded loaded = load(call);
  if (!loaded.ok()) return report(loaded.problems, call.out);
  const engine::RunResult result = run_observed(call, loaded.pipeline, true, call.args.all("again"));
  if (!call.out.json()) call.out.line(printable(sum_up(call, loaded.pipeline, result)));
  return 0;
}

}  // namespace kiln::cli
