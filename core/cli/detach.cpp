// kiln detach: an instance that needs its image no longer.
#include "machine/detach.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {

int run_detach(Call& call) {
  const std::string name = call.args.text("NAME");
  const Instances instances = call.services.instances();
  const Instance instance = instances.get(name);
  require_here(instance, "detach");
  if (!instance.detached) {
    Activity activity("detaching", call.out.json());
    detach_disks(instance, call.stop, activity.bytes());
    instances.mark_detached(name);
    call.services.machines().record_uses();
    activity.end();
  }
  if (call.out.json())
    call.out.object({{"name", name}, {"image", instance.image}, {"detached", !instance.detached}});
  else
    call.out.line(fmt::format("{} {} alone; it came from {}, which may be removed now", name,
                              instance.detached ? "already stood" : "stands", instance.image));
  return 0;
}

}  // namespace kiln::cli
