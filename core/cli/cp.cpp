// kiln cp: files and folders to or from an instance, by its guest agent.
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "machine/guest_copy.h"
#include "machine/instance_names.h"

namespace kiln::cli {
namespace {

/// "web:/etc/hosts" → {"web", "/etc/hosts"}; nothing for a path of this host.
std::optional<std::pair<std::string, std::string>> in_guest(const std::string& given) {
  const auto colon = given.find(":/");
  if (colon == std::string::npos || !valid_instance_name(given.substr(0, colon))) return std::nullopt;
  return std::pair(given.substr(0, colon), given.substr(colon + 1));
}

}  // namespace

int run_cp(Call& call) {
  const std::string source = call.args.text("SRC"), target = call.args.text("DST");
  const auto from = in_guest(source), to = in_guest(target);
  if (from.has_value() == to.has_value())
    throw invalid(from ? "both paths are in instances" : "neither path is in an instance",
                  "one of them is NAME:/path, with the whole path in the guest; the other is here");
  const Instance instance = call.services.instances().get(from ? from->first : to->first);
  GuestAccess guest = GuestAccess::open(instance, call.stop);
  Activity activity("copying", call.out.json());
  const CopyReport report = from ? copy_from_guest(guest, from->second, target, activity.bytes())
                                 : copy_to_guest(guest, source, to->second, activity.bytes());
  activity.end();
  if (call.out.json()) {
    call.out.object({{"from", source},
                     {"to", target},
                     {"files", report.files},
                     {"bytes", report.bytes},
                     {"left_out", report.left_out_count},
                     {"left_out_names", report.left_out}});
    return 0;
  }
  for (const std::string& left : report.left_out) print_warning("left out: " + left);
  if (report.left_out_count > report.left_out.size())
    print_warning(fmt::format("left out: {} more", report.left_out_count - report.left_out.size()));
  call.out.line(
      fmt::format("copied {} file{}, {}", report.files, report.files == 1 ? "" : "s", format_bytes(report.bytes)));
  return 0;
}

}  // namespace kiln::cli
