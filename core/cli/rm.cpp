// kiln rm: removes an instance and its disk. The image it came from stays.
#include <exception>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

/// An instance can be removed without the catalog. What that was not told, it is told at the next launch.
void tell_catalog(Services& services) noexcept {
  try {
    services.machines().record_uses();
  } catch (const std::exception&) {
    // as above
  }
}

}  // namespace

int run_rm(Call& call) {
  const std::string name = call.args.text("NAME");
  call.services.instances().remove(name, call.args.has("force"));
  tell_catalog(call.services);
  if (call.out.json())
    call.out.object({{"removed", name}});
  else
    call.out.line(fmt::format("removed {}", name));
  return 0;
}

}  // namespace kiln::cli
