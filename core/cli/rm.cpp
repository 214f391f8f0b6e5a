// kiln rm: removes an instance and its disk. The image it came from stays.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {

int run_rm(Call& call) {
  const std::string name = call.args.text("NAME");
  call.services.instances().remove(name, call.args.has("force"));
  if (call.out.json())
    call.out.object({{"removed", name}});
  else
    call.out.line(fmt::format("removed {}", name));
  return 0;
}

}  // namespace kiln::cli
