// kiln start, restart: an instance that is stopped runs again, on the disk that it has.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

void answer(Call& call, const std::string& name, bool started) {
  const Instance instance = call.services.instances().get(name);
  const bool local = instance.driver == "qemu";
  if (call.out.json())
    call.out.object({{"name", name},
                     {"started", started},
                     {"pid", local ? Json(instance.process.pid) : Json(nullptr)},
                     {"accelerator", instance.accelerator}});
  else if (started)
    call.out.line(fmt::format("{}  {}, accelerator {}; see it start with: kiln console {}", name,
                              local ? fmt::format("pid {}", instance.process.pid) : "on " + instance.connect,
                              instance.accelerator, name));
  else
    call.out.line(fmt::format("{} was running already", name));
}

}  // namespace

int run_start(Call& call) {
  const std::string name = call.args.text("NAME");
  (void)call.services.instances().get(name);  // one that is not there is said before the accelerator is probed
  Activity activity("starting", call.out.json());
  const bool started =
      call.services.instances().start(name, call.services.accelerator(), call.stop, call.args.has("overcommit"));
  activity.end();
  answer(call, name, started);
  return 0;
}

int run_restart(Call& call) {
  const std::string name = call.args.text("NAME");
  const Duration limit = call.args.duration("timeout", std::chrono::seconds(60));
  const Instances instances = call.services.instances();
  (void)instances.get(name);
  Activity activity("restarting", call.out.json());
  // What it had of the host a moment ago it may have again.
  const bool had_room = instances.stop(name, limit, call.stop) != Stopped::already;
  const bool started = instances.start(name, call.services.accelerator(), call.stop, had_room);
  activity.end();
  answer(call, name, started);
  return 0;
}

}  // namespace kiln::cli
