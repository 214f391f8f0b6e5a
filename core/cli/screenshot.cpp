// kiln screenshot: what an instance shows on its screen, as PNG.
#include "machine/screenshot.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {

int run_screenshot(Call& call) {
  const std::string name = call.args.text("NAME"), file = call.args.text("FILE");
  Activity activity("taking a picture", call.out.json());
  const Screenshot shot = take_screenshot(call.services.instances().get(name), file, call.stop);
  activity.end();
  if (call.out.json())
    call.out.object({{"name", name}, {"file", file}, {"width", shot.width}, {"height", shot.height}});
  else
    call.out.line(fmt::format("{}  {}x{}", file, shot.width, shot.height));
  return 0;
}

}  // namespace kiln::cli
