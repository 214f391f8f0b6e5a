// kiln doctor: checks what kiln needs of this host, and says what mends it.
#include "cli/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "guest/session.h"
#include "libvirt/libvirt_driver.h"
#include "machine/accelerator.h"
#include "machine/qemu.h"
#include "process/process.h"
#include "process/sandbox.h"

namespace kiln::cli {
namespace {

using State = Finding::State;

constexpr std::uint64_t comfortable_space = 10ULL << 30, least_space = 1ULL << 30;

/// "7.2.22" out of "QEMU emulator version 7.2.22 (Debian …)": the first word that starts with a digit.
std::string version_in(const std::string& text) {
  std::string word;
  for (const char c : text.substr(0, text.find('\n')) + " ") {
    if (c != ' ' && c != '(' && c != ')') {
      word += c;
      continue;
    }
    if (!word.empty() && word.front() >= '0' && word.front() <= '9') return word;
    word.clear();
  }
  return "";
}

Finding examine_file_systems() {
  if (appliance_has("xfsprogs")) return {State::ok, "file systems of guests", "ext2 to ext4, btrfs, xfs", ""};
  return {State::warn, "file systems of guests", "guests on xfs (Red Hat and its kin) cannot be edited",
          "sudo apt-get install libguestfs-xfs"};
}

Finding examine_firmware() {
  const auto code = ovmf_code(Firmware::uefi);
  if (std::filesystem::exists(code)) return {State::ok, "OVMF", code.string(), ""};
  return {State::warn, "OVMF", "no UEFI firmware: images that boot by UEFI cannot be started",
          "sudo apt-get install ovmf"};
}

Finding examine_secure_boot() {
  const auto code = ovmf_code(Firmware::secure);
  if (std::filesystem::exists(code)) return {State::ok, "OVMF for Secure Boot", code.string(), ""};
  return {State::warn, "OVMF for Secure Boot", "images of systems with Secure Boot cannot be started",
          "sudo apt-get install ovmf"};
}

Finding examine_accelerator(const std::filesystem::path& home, std::stop_token stop) {
  if (!find_program("qemu-system-x86_64"))
    return {State::warn, "accelerator", "not probed: there is no qemu-system-x86_64", ""};
  const Accelerator found = probe_accelerator(home, true, std::move(stop));
  if (found.name == "kvm") return {State::ok, "kvm", "a guest of kiln's own reached long mode", ""};
  const bool denied = ::access("/dev/kvm", F_OK) == 0 && ::access("/dev/kvm", R_OK | W_OK) != 0;
  return {State::warn, "kvm", found.reason + ": using " + found.name + ", about 15× slower",
          denied ? "sudo usermod -aG kvm $USER, then log in again" : ""};
}

Json to_json(const std::vector<Finding>& findings, bool healthy) {
  Json all = Json::array();
  for (const Finding& f : findings) {
    const char* state = f.state == State::ok ? "ok" : f.state == State::warn ? "warn" : "fail";
    all.push_back({{"state", state}, {"need", f.need}, {"text", f.text}, {"mend", f.mend}});
  }
  return {{"ok", healthy}, {"findings", all}};
}

void print(Output& out, const std::vector<Finding>& findings) {
  const Style style = out.style();
  for (const Finding& f : findings) {
    const char* color = f.state == State::ok ? style.green : f.state == State::warn ? style.yellow : style.red;
    const char* name = f.state == State::ok ? "ok  " : f.state == State::warn ? "warn" : "FAIL";
    out.line(fmt::format("{}{}{}  {}: {}{}", color, name, style.reset, f.need, printable(f.text),
                         f.mend.empty() ? "" : ":  " + f.mend));
  }
}

}  // namespace

Finding examine_program(const std::string& name, const std::string& user) {
  if (const auto path = find_program(name)) {
    const Outcome outcome =
        run({.program = path->string(), .args = {"--version"}}, {.timeout = std::chrono::seconds(10)});
    const std::string version = outcome.exit.ok() ? version_in(outcome.output) : "";
    return {State::ok, name, version.empty() ? path->string() : version, ""};
  }
  const std::string package(package_of(name));
  return {user.empty() ? State::fail : State::warn, name,
          user.empty() ? "not found" : fmt::format("not found; the plugin \"{}\" needs it", user),
          package.empty() ? "" : "sudo apt-get install " + package};
}

Finding examine_optional(const std::string& name, const std::string& lacking, const std::string& package) {
  if (find_program(name)) return {State::ok, name, find_program(name)->string(), ""};
  return {State::warn, name, "not found: " + lacking, "sudo apt-get install " + package};
}

Finding examine_sandbox() {
  try {
    require_sandbox();
    return {State::ok, "sandbox", "bubblewrap, with namespaces of its own", ""};
  } catch (const Error& error) {
    return {State::fail, "sandbox", fmt::format("{}: guests are not edited and foreign disks not read", error.what()),
            error.hint()};
  }
}

Finding examine_libvirt(const std::string& uri, std::stop_token stop) {
  try {
    LibvirtDriver driver([] { return std::string(); });
    return {State::ok, "libvirt", driver.resolve(uri, stop), ""};
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    const bool is_there = find_program("libvirtd") || find_program("virtqemud");
    return {State::warn, "libvirt", fmt::format("no instances on this host's libvirt: {}", error.what()),
            is_there ? "sudo systemctl start libvirtd; sudo usermod -aG libvirt $USER"
                     : "sudo apt-get install libvirt-daemon-system"};
  }
}

Finding examine_kernel(const std::filesystem::path& boot, const std::filesystem::path& modules) {
  std::vector<std::filesystem::path> kernels;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(boot, ignored))
    if (entry.path().filename().string().starts_with("vmlinuz-")) kernels.push_back(entry.path());
  std::sort(kernels.begin(), kernels.end());
  std::string unreadable;
  for (const auto& kernel : kernels) {
    const std::string release = kernel.filename().string().substr(8);
    if (!std::filesystem::exists(modules / release, ignored)) continue;  // the appliance needs its modules too
    if (::access(kernel.c_str(), R_OK) == 0) return {State::ok, "kernel for the appliance", kernel.string(), ""};
    unreadable = kernel.string();
  }
  if (!unreadable.empty())
    return {State::fail, "kernel for the appliance", unreadable + " is not readable for you",
            "sudo chmod 0644 " + unreadable};
  return {State::fail, "kernel for the appliance", "there is none in " + boot.string(),
          "sudo apt-get install linux-image-cloud-amd64"};
}

Finding examine_space(const std::filesystem::path& home) {
  std::filesystem::path at = home;
  while (!std::filesystem::exists(at) && at.has_relative_path()) at = at.parent_path();
  std::error_code unknown;
  const auto space = std::filesystem::space(at, unknown);
  if (unknown)
    return {State::fail, "kiln home", home.string() + ": " + unknown.message(),
            "set KILN_HOME to a folder that you may write to"};
  const std::string text = fmt::format("{}, {} free", home.string(), format_bytes(space.available));
  if (::access(at.c_str(), W_OK) != 0)
    return {State::fail, "kiln home", home.string() + " cannot be written to",
            "set KILN_HOME to a folder that you may write to"};
  const State state = space.available < least_space         ? State::fail
                      : space.available < comfortable_space ? State::warn
                                                            : State::ok;
  return {state, "kiln home", text, state == State::ok ? "" : "kiln cache clear, or set KILN_HOME to a larger disk"};
}

std::vector<Finding> examine_host(const std::filesystem::path& home, const std::vector<engine::Plugin>& plugins,
                                  std::stop_token stop) {
  std::vector<Finding> findings;
  std::set<std::string> seen{"bwrap"};  // its finding is the sandbox's
  for (const char* name : {"qemu-system-x86_64", "qemu-img", "qemu-storage-daemon", "supermin"}) {
    findings.push_back(examine_program(name));
    seen.insert(name);
  }
  for (const engine::Plugin& plugin : plugins) {
    if (plugin.error) {
      findings.push_back({State::fail, "plugin " + plugin.name, plugin.error->what(), plugin.error->hint()});
      continue;
    }
    for (const std::string& need : plugin.about().needs)
      if (seen.insert(need).second) findings.push_back(examine_program(need, plugin.name));
  }
  findings.push_back(examine_sandbox());
  findings.push_back({State::ok, "libguestfs", libguestfs_version(), ""});  // linked: without it no kiln would run
  findings.push_back(examine_file_systems());
  findings.push_back(examine_kernel());
  findings.push_back(examine_firmware());
  findings.push_back(examine_secure_boot());
  findings.push_back(examine_optional("swtpm", "no machine with Secure Boot and a TPM can be started", "swtpm"));
  findings.push_back(examine_optional("ssh", "kiln ssh cannot log in", "openssh-client"));
  if (seen.insert("ssh-keygen").second)
    findings.push_back(examine_optional("ssh-keygen", "kiln clone cannot make host keys", "openssh-client"));
  findings.push_back(examine_libvirt("qemu:///system", stop));
  findings.push_back(examine_space(home));
  findings.push_back(examine_accelerator(home, std::move(stop)));
  return findings;
}

int run_doctor(Call& call) {
  const std::vector<Finding> findings =
      examine_host(call.services.home().root(), call.services.registry().all(), call.stop);
  const bool healthy =
      std::none_of(findings.begin(), findings.end(), [](const Finding& f) { return f.state == State::fail; });
  if (call.out.json())
    call.out.object(to_json(findings, healthy));
  else
    print(call.out, findings);
  return healthy ? 0 : static_cast<int>(Failure::failed);
}

}  // namespace kiln::cli
