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

/// As one word of a unit: systemd knows quotes and backslashes there, and expands '%'.
std::string word(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '%') quoted += c;
    quoted += c;
  }
  return quoted + "\"";
}

/// Of a command line, where it expands '$' too.
std::string command_word(const std::string& text) {
  std::string all;
  for (const char c : word(text)) all += c == '$' ? "$$" : std::string(1, c);
  return all;
}

std::string service_text(Call& call, const std::string& instance) {
  std::string command = command_word(call.services.program().string()) + " backup " + command_word(instance);
  for (const char* option : {"keep", "name", "require", "as"})  // the account comes last: see owner_in()
    if (call.args.has(option)) command += fmt::format(" --{} {}", option, command_word(call.args.text(option)));
  return fmt::format(
      "[Unit]\nDescription=Backup of the kiln instance {}\n\n"
      "[Service]\nType=oneshot\nKillMode=process\nEnvironment={}\nExecStart={}\n",
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
  const std::string path = std::getenv("SYSTEMD_UNIT_PATH") != nullptr ? std::getenv("SYSTEMD_UNIT_PATH") : "";
  if (!path.empty()) return path.substr(0, path.find(':'));  // systemd.unit(5): there it looks, and nowhere else
  if (::geteuid() == 0) return "/etc/systemd/system";
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (config == nullptr && home == nullptr) throw Error("HOME is not set", "set it, and try again");
  return (config != nullptr ? std::filesystem::path(config) : std::filesystem::path(home) / ".config") / "systemd/user";
}

/// Whose instance a service is for: its line with the home, and the account if one is given.
std::string owner_in(const std::string& service) {
  const auto from = [&](std::string_view what) {
    const std::size_t at = service.find(what);
    return at == std::string::npos ? "" : service.substr(at, service.find('\n', at) - at);
  };
  return from("Environment=") + from(" --as ");
}

/// Units are named after the instance, and another home may have one of the same name.
void require_own(const std::filesystem::path& file, const std::string& service) {
  if (!std::filesystem::exists(file) || owner_in(read_text(file)) == owner_in(service)) return;
  throw Error(fmt::format("{} makes the backups of an instance of another home or account", file.string()),
              "remove that one first, or install this one by hand under another name");
}

void install_units(const std::string& unit, const std::string& service, const std::string& timer) {
  std::filesystem::create_directories(unit_folder());
  require_own(unit_folder() / (unit + ".service"), service);
  write_text(unit_folder() / (unit + ".service"), service);
  write_text(unit_folder() / (unit + ".timer"), timer);
}

}  // namespace

int run_backup_timer(Call& call) {
  const std::string instance = call.services.instances().get(call.args.text("INSTANCE")).name;
  const std::string every = call.args.text("every", "hourly");
  require_calendar(every);
  if (call.args.has("keep")) (void)KeepRule::parse(call.args.text("keep"));
  const std::string unit = "kiln-backup-" + instance;
  const std::string service = service_text(call, instance), timer = timer_text(instance, every);
  const bool is_users = ::geteuid() != 0;
  const std::string enable = fmt::format("systemctl {}enable --now {}.timer", is_users ? "--user " : "", unit);
  const std::string linger = "loginctl enable-linger";  // a user's units end with the last session otherwise
  const bool install = call.args.has("install");
  if (install) install_units(unit, service, timer);
  if (call.out.json()) {
    call.out.object({{"service", service},
                     {"timer", timer},
                     {"unit", unit},
                     {"installed", install},
                     {"enable", enable},
                     {"linger", is_users ? Json(linger) : Json(nullptr)}});
    return 0;
  }
  if (install)
    call.out.line(fmt::format("{} and {}.service are in {}; start them with: {}", unit + ".timer", unit,
                              unit_folder().string(), enable));
  else
    call.out.line(fmt::format("# {}.service\n{}\n# {}.timer\n{}", unit, service, unit, timer));
  if (is_users) call.out.line("# as a user's units they run while you are logged in; always with: " + linger);
  return 0;
}

}  // namespace kiln::cli
