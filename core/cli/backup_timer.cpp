// kiln backup timer: the systemd units that make backups by the clock (systemd.timer(5), systemd.service(5)).
#include <unistd.h>

#include <fmt/format.h>
#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "catalog/keep_rule.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "process/process.h"

namespace kiln::cli {
namespace {

/// As one word of a unit's command line: systemd expands '%' and '$', and knows quotes and backslashes.
std::string word(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '%' || c == '$') quoted += c;
    quoted += c;
  }
  return quoted + "\"";
}

std::string service_text(Call& call, const std::string& instance) {
  std::string command = word(call.services.program().string()) + " backup " + word(instance);
  for (const char* option : {"keep", "name", "require", "as"})
    if (call.args.has(option)) command += fmt::format(" --{} {}", option, word(call.args.text(option)));
  return fmt::format(
      "[Unit]\nDescription=Backup of the kiln instance {}\n\n"
      "[Service]\nType=oneshot\nEnvironment={}\nExecStart={}\n",
      instance, word("KILN_HOME=" + call.services.home().root().string()), command);
}

std::string timer_text(const std::string& instance, const std::string& every) {
  return fmt::format(
      "[Unit]\nDescription=Backups of the kiln instance {}\n\n"
      "[Timer]\nOnCalendar={}\nPersistent=true\nRandomizedDelaySec=60\n\n"
      "[Install]\nWantedBy=timers.target\n",
      instance, every);
}

/// As systemd reads it, where that is installed.
void require_calendar(const std::string& every) {
  if (every.find_first_of("\n\r") != std::string::npos || every.empty() || every.front() == '-')
    throw invalid("--every takes one line", "such as hourly, or Mon 03:00");
  const auto reader = find_program("systemd-analyze");
  if (reader && !run({reader->string(), {"calendar", every}}).exit.ok())
    throw invalid(fmt::format("systemd knows no time \"{}\"", every),
                  "--every takes what systemd.time(7) describes, such as hourly, daily, or Mon 03:00");
}

std::filesystem::path unit_folder() {
  if (::geteuid() == 0) return "/etc/systemd/system";
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (config == nullptr && home == nullptr) throw Error("HOME is not set", "set it, and try again");
  return (config != nullptr ? std::filesystem::path(config) : std::filesystem::path(home) / ".config") / "systemd/user";
}

}  // namespace

int run_backup_timer(Call& call) {
  const std::string instance = call.services.instances().get(call.args.text("INSTANCE")).name;
  const std::string every = call.args.text("every", "hourly");
  require_calendar(every);
  if (call.args.has("keep")) (void)KeepRule::parse(call.args.text("keep"));
  const std::string unit = "kiln-backup-" + instance;
  const std::string service = service_text(call, instance), timer = timer_text(instance, every);
  const std::string enable = fmt::format("systemctl {}enable --now {}.timer", ::geteuid() == 0 ? "" : "--user ", unit);
  const bool install = call.args.has("install");
  if (install) {
    std::filesystem::create_directories(unit_folder());
    write_text(unit_folder() / (unit + ".service"), service);
    write_text(unit_folder() / (unit + ".timer"), timer);
  }
  if (call.out.json()) {
    call.out.object(
        {{"service", service}, {"timer", timer}, {"unit", unit}, {"installed", install}, {"enable", enable}});
  } else if (install) {
    call.out.line(fmt::format("{} and {}.service are in {}; start them with: {}", unit + ".timer", unit,
                              unit_folder().string(), enable));
  } else {
    call.out.line(fmt::format("# {}.service\n{}\n# {}.timer\n{}", unit, service, unit, timer));
  }
  return 0;
}

}  // namespace kiln::cli
