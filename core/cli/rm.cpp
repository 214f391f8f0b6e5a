// kiln rm: removes an instance and its disk. The image it came from stays.
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/errors.h"
#include "cli/output.h"
#include "cli/rm.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {

void tell_catalog(Services& services) {
  if (!std::filesystem::exists(services.home().instances())) return;  // none was ever launched here
  try {
    services.machines().record_uses();
  } catch (const Error& error) {
    print_warning(fmt::format(
        "the catalog is not told that the image is free: {}; the next kiln launch, rm or gc tells it", error.what()));
  }
}

int run_rm(Call& call) {
  const std::string name = call.args.text("NAME");
  try {
    if (const auto given_up = call.services.instances().remove(name, call.args.has("force")))
      print_warning(fmt::format("what its host has of it stays there: {}", given_up->what()));
  } catch (const Error& error) {
    // An earlier removal may have been killed before it told it.
    if (error.failure() == Failure::invalid) tell_catalog(call.services);
    throw;
  }
  if (call.out.json())
    call.out.object({{"removed", name}});
  else
    call.out.line(fmt::format("removed {}", name));
  call.out.flush();
  tell_catalog(call.services);
  return 0;
}

}  // namespace kiln::cli
