// kiln check: says what is wrong with a pipeline, without running anything.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/pipelines.h"

namespace kiln::cli {

int run_check(Call& call) {
  const engine::Loaded loaded = load(call);
  if (!loaded.ok()) return report(loaded.problems, call.out);
  const engine::Pipeline& pipeline = loaded.pipeline;
  if (call.out.json()) {
    Json stages = Json::array();
    for (const engine::Step& step : pipeline.steps) stages.push_back(step.use);
    call.out.object({{"file", pipeline.file.string()}, {"name", pipeline.name}, {"stages", stages}, {"ok", true}});
    return 0;
  }
  call.out.line(fmt::format("{}: {} {}, nothing wrong", printable(pipeline.file.string()), pipeline.steps.size(),
                            pipeline.steps.size() == 1 ? "stage" : "stages"));
  return 0;
}

}  // namespace kiln::cli
