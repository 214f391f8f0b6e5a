// kiln backup, backup verify: versions of an instance to go back to, as many as a rule keeps.
#include <fmt/format.h>
#include <kiln/random.h>
#include <nlohmann/json.hpp>

#include "catalog/retention.h"
#include "cli/activity.h"
#include "cli/backups.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/services.h"
#include "machine/boot_check.h"

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

/// The machine that the backup is of, with all its disks, on overlays; it reaches nothing, and is gone with this.
class ThrowAway {
 public:
  ThrowAway(Call& call, const ImageEntry& backup, const std::string& of, Activity& activity)
      : call_(call), instances_(call.services.instances()) {
    LaunchSpec spec;
    spec.image = backup.image.id;
    spec.name = of.substr(0, 49) + "-verify-" + random_hex(3);  // 63 characters at most
    spec.network = "isolated";
    name_ = call.services.machines().launch(spec, {activity.bytes(), {}, {}}).instances.front().name;
  }
  ThrowAway(const ThrowAway&) = delete;
  ThrowAway& operator=(const ThrowAway&) = delete;
  ~ThrowAway() {
    try {
      instances_.remove(name_, true);
      call_.services.machines().record_uses();
    } catch (const std::exception& error) {
      print_warning(fmt::format("{} could not be removed: {}", name_, error.what()));
    }
  }
  Instance instance() const { return instances_.get(name_); }

 private:
  Call& call_;
  Instances instances_;
  std::string name_;
};

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
  const std::string reference = backup.reference_for(call.services.catalog().view().account().name);
  BootSpec signs;
  signs.agent = fact(backup.image, "capture.consistency") == "quiesced";
  signs.expect = call.args.text("expect");
  signs.timeout = call.args.duration("timeout", signs.timeout);
  if (!signs.agent && signs.expect.empty())
    throw invalid(fmt::format("nothing tells when {} has booted: no guest agent answered when it was made", reference),
                  "say which text its serial console shows then: --expect \"login:\"");
  Activity activity("backup verify", call.out.json());
  const ThrowAway machine(call, backup, name, activity);
  const auto told = activity.things("seconds of the boot");
  const BootReport report = watch_boot(machine.instance(), signs, call.stop, [&](Duration elapsed, const std::string&) {
    told(static_cast<std::size_t>(elapsed.count() / 1000), static_cast<std::size_t>(signs.timeout.count() / 1000));
  });
  activity.end();
  if (call.out.json())
    call.out.object({{"backup", reference}, {"boots", true}, {"ms", report.elapsed.count()}});
  else
    call.out.line(fmt::format("{} boots, in {}", reference, format_duration(report.elapsed)));
  return 0;
}

}  // namespace kiln::cli
