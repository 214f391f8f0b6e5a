// kiln launch: starts a machine from an image and leaves it running.
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/admission.h"
#include "cli/errors.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

std::optional<std::uint16_t> port_in(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::vector<PortForward> ports_of(const Args& args) {
  std::vector<PortForward> ports;
  for (const std::string& given : args.all("port")) {
    const auto colon = given.find(':');
    const auto host = port_in(std::string_view(given).substr(0, colon));
    const auto guest = colon == std::string::npos ? host : port_in(std::string_view(given).substr(colon + 1));
    if (!host || !guest || colon == std::string::npos)
      throw invalid(fmt::format("--port takes HOST:GUEST, two ports from 1 to 65535, not \"{}\"", given),
                    "for example --port 2222:22");
    ports.push_back({*host, *guest});
  }
  return ports;
}

/// The key lines of public key files. Comments and empty lines are left out.
std::vector<std::string> ssh_keys_of(const Args& args) {
  std::vector<std::string> keys;
  for (const std::string& file : args.all("ssh-key")) {
    const std::string text = read_text(file, 1 << 16);
    std::size_t found = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      if (line.empty() || line.front() == '#') continue;
      if (line.find("PRIVATE KEY") != std::string::npos)
        throw refused(fmt::format("{} is a private key", file), fmt::format("give its public half: {}.pub", file));
      keys.push_back(line);
      ++found;
    }
    if (found == 0) throw invalid(fmt::format("{} holds no public key", file), "ssh-keygen -t ed25519 makes one");
  }
  return keys;
}

std::vector<std::string> warnings_of(const ImageEntry& entry, const std::string& account) {
  if (entry.state() != ImageState::deprecated) return {};
  std::string text = fmt::format("image {} is deprecated since {}", entry.reference(), entry.life.deprecated_at);
  if (!entry.life.obsolete_at.empty()) text += fmt::format(", and cannot be used from {} on", entry.life.obsolete_at);
  if (!entry.life.replacement.empty()) text += fmt::format(": use {} instead", entry.replacement_for(account));
  return {text};
}

/// "alice/web:1, made by alice from vendor.vhd, signed by release (3f2a…), good"
std::string origin_of(const ImageEntry& entry, const std::vector<CheckedSignature>& signatures) {
  std::string text = fmt::format("{}, made by {}", full_reference(entry), entry.owner);
  if (const std::string source = source_text(entry); !source.empty()) text += " from " + source;
  if (signatures.empty()) text += ", signed by nobody";
  for (const CheckedSignature& one : signatures) text += ", signed by " + signature_text(one);
  return text;
}

}  // namespace

int run_launch(Call& call) {
  const Args& args = call.args;
  LaunchSpec spec;
  spec.image = args.text("IMAGE");
  spec.name = args.text("name");
  spec.memory = args.size("memory", spec.memory);
  spec.cpus = static_cast<unsigned>(args.integer("cpus", spec.cpus, 1, 255));
  spec.ports = ports_of(args);
  spec.ssh_keys = ssh_keys_of(args);
  if (args.has("user-data")) spec.user_data = read_text(args.text("user-data"), 1 << 20);

  if (args.has("accel")) (void)call.services.accelerator();  // a wrong one is said before anything is made
  const CatalogView view = call.services.catalog().view();
  const ImageEntry entry = view.resolve(spec.image, Action::launch);
  spec.image = entry.image.id;  // what is said of it below is said of what is launched
  std::vector<std::string> warnings = warnings_of(entry, call.services.catalog().view().account().name);
  const auto signatures = signatures_of(call.services.home(), view, entry);
  Activity activity("preparing", call.out.json());
  const Launched launched = call.services.machines().launch(spec, activity.bytes());
  activity.end();
  warnings.insert(warnings.end(), launched.warnings.begin(), launched.warnings.end());
  if (call.out.json()) {
    call.out.object({{"name", launched.name},
                     {"pid", launched.pid},
                     {"serial_log", launched.serial_log.string()},
                     {"image", entry.reference()},
                     {"image_owner", entry.owner},
                     {"image_source", source_json(entry)},
                     {"image_signatures", signatures_json(signatures)},
                     {"warnings", warnings}});
    return 0;
  }
  for (const std::string& warning : warnings) print_warning(warning);
  if (entry.owner != view.account().name) call.out.line(printable(origin_of(entry, signatures)));
  call.out.line(fmt::format("{}  pid {}, accelerator {}; see it start with: kiln console {}", launched.name,
                            launched.pid, call.services.accelerator().name, launched.name));
  return 0;
}

}  // namespace kiln::cli
