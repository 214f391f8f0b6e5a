// kiln stop: shuts an instance down; the power button first, the plug when that does not help.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

const char* text_of(Stopped how) {
  switch (how) {
    case Stopped::already:
      return "was not running";
    case Stopped::by_guest:
      return "shut down";
    case Stopped::by_qemu:
      return "did not shut down in time; its machine was switched off";
    case Stopped::killed:
      return "did not answer; its machine was killed";
  }
  return "";
}

const char* word_of(Stopped how) {
  switch (how) {
    case Stopped::already:
      return "already";
    case Stopped::by_guest:
      return "by_guest";
    case Stopped::by_qemu:
      return "by_qemu";
    case Stopped::killed:
      return "killed";
  }
  return "";
}

}  // namespace

int run_stop(Call& call) {
  const std::string name = call.args.text("NAME");
  const Duration limit = call.args.duration("timeout", std::chrono::seconds(60));
  Activity activity("stopping", call.out.json());
  const Stopped how = call.services.instances().stop(name, limit, call.stop);
  activity.end();
  if (call.out.json())
    call.out.object({{"name", name}, {"stopped", word_of(how)}});
  else
    call.out.line(fmt::format("{} {}", name, text_of(how)));
  return 0;
}

}  // namespace kiln::cli
