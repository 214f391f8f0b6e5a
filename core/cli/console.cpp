// kiln console: an instance's serial console, both ways on a terminal. As JSON, what it wrote so far.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {

int run_console(Call& call) {
  const Instances instances = call.services.instances();
  const std::string name = call.args.text("NAME");
  if (call.out.json()) {
    const Instance instance = instances.get(name);
    const std::string text = instances.serial_text(name, 256u << 20);
    call.out.object({{"name", instance.name}, {"state", to_text(instance.state)}, {"serial", text}});
    return 0;
  }
  instances.console(name, STDIN_FILENO, STDOUT_FILENO, call.stop);
  return 0;
}

}  // namespace kiln::cli
