#include "engine/plan.h"

#include <algorithm>

#include "engine/chain.h"
#include "engine/runner.h"

namespace kiln::engine {

std::size_t Plan::hits() const {
  return static_cast<std::size_t>(std::ranges::count(stages, State::hit, &PlannedStage::state));
}

namespace {

void add_needs(Plan& plan, const Step& step, const PlannedStage& stage) {
  if (stage.estimate) plan.estimate += *stage.estimate;
  if (stage.role == Role::change) {
    const bool joins =
        !plan.stages.empty() && plan.stages.back().role == Role::change && plan.stages.back().state != State::hit;
    if (!joins) ++plan.appliances;
  }
  if (std::ranges::count(step.stage->about().needs, "qemu-system-x86_64") > 0) ++plan.boots;
}

}  // namespace

Plan make_plan(const Pipeline& pipeline, const Services& services, const std::vector<std::string>& again) {
  const Home home(services.home);
  const Layers layers(home.layers(), services.layer_format);
  ChainOptions options{.again = stages_named(pipeline, again), .nonce = {}, .source = {}, .account = services.account};
  for (const std::size_t number : options.again) options.nonce[number] = "planned";
  const std::vector<Link> links = make_chain(pipeline, home, layers, services.catalog, options);

  Plan plan{.pipeline = pipeline.name, .stages = {}};
  for (std::size_t i = 0; i < links.size(); ++i) {
    const Link& link = links[i];
    const Step& step = pipeline.steps[i];
    PlannedStage stage{.number = step.number,
                       .name = step.use,
                       .role = step.stage->role(),
                       .state = link.state,
                       .key = {},
                       .why = link.why,
                       .estimate = {},
                       .result = {}};
    if (!link.key.hex.empty() && !options.again.contains(step.number)) stage.key = link.key.hex;
    if (link.record) stage.result = link.record->summary;
    if (link.last && link.last->stage == step.use) stage.estimate = link.last->elapsed;
    if (link.state != State::hit) add_needs(plan, step, stage);
    plan.stages.push_back(std::move(stage));
  }
  return plan;
}

}  // namespace kiln::engine
