// kiln backup, backup verify: versions of an instance to go back to, as many as a rule keeps.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/retention.h"
#include "cli/backups.h"
#include "cli/output.h"
#include "cli/pipelines.h"
#include "cli/services.h"

namespace kiln::cli {
namespace {

std::string fact(const Image& image, const char* name) {
  const auto found = image.facts.find(name);
  return found == image.facts.end() ? "" : found->second;
}

/// What the rule no longer keeps goes into the trash.
std::vector<ImageEntry> prune(Call& call, const std::string& name) {
  if (!call.args.has("keep")) return {};
  const KeepRule rule = KeepRule::parse(call.args.text("keep"));
  const Retention retention(call.services.catalog().view(),
                            [&call](const ImageEntry& entry) { return call.services.machines().users_of(entry); });
  call.services.machines().record_uses();
  return retention.carry_out(retention.judge(name, rule), parse_moment("+7d"));
}

}  // namespace

int run_backup(Call& call) {
  const std::string name = call.args.text("INSTANCE");
  if (call.args.has("keep")) (void)KeepRule::parse(call.args.text("keep"));  // before anything is made
  const auto made = capture_as(call, "backup", name, backup_name(call.args, name));
  if (!made) return static_cast<int>(Failure::invalid);
  const std::vector<ImageEntry> gone = prune(call, made->image.name);
  const std::string consistency = fact(made->image, "capture.consistency");
  if (call.out.json()) {
    Json trashed = Json::array();
    for (const ImageEntry& entry : gone) trashed.push_back(entry.reference());
    call.out.object({{"backup", made->reference()},
                     {"consistency", consistency},
                     {"stored_bytes", made->image.stored_bytes},
                     {"trashed", trashed}});
    return 0;
  }
  call.out.line(
      fmt::format("{}  {}, {} stored", made->reference(), consistency, format_bytes(made->image.stored_bytes)));
  if (!gone.empty())
    call.out.line(
        fmt::format("{} older ones put into the trash for 7 days; kiln image restore brings one back", gone.size()));
  return 0;
}

int run_backup_verify(Call& call) {
  const std::string name = call.args.text("INSTANCE");
  const ImageEntry backup = find_backup(call, name);
  const bool had_agent = fact(backup.image, "capture.consistency") == "quiesced";
  if (!had_agent && !call.args.has("expect"))
    throw invalid(
        fmt::format("nothing tells when {} has booted: no guest agent answered when it was made", backup.reference()),
        "say which text its serial console shows then: --expect \"login:\"");
  Table boot{{"agent", Value{had_agent}}, {"expect", Value{call.args.text("expect")}}};
  if (call.args.has("timeout")) boot["timeout"] = Value{call.args.text("timeout")};
  for (const char* what : {"memory", "cpus"})
    if (const std::string value = fact(backup.image, (std::string("machine.") + what).c_str()); !value.empty())
      boot[what] = std::string(what) == "cpus" ? Value{std::int64_t{std::stol(value)}} : Value{value};
  const std::string reference = backup.reference();
  const auto result =
      run_short(call, "backup verify", {{"image", {{"image", Value{reference}}}}, {"boot", boot}}, {"boot"});
  if (!result) return static_cast<int>(Failure::invalid);
  if (!call.out.json()) call.out.line(fmt::format("{} boots", reference));
  return 0;
}

}  // namespace kiln::cli
