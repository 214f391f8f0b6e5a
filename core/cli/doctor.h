#pragma once
// What kiln needs of its host, as data: the verb prints it, tests look at it.

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/registry.h"

namespace kiln::cli {

/// One need and how it stands.
struct Finding {
  enum class State { ok, warn, fail } state = State::ok;
  std::string need;  ///< "qemu-system-x86_64"
  std::string text;  ///< what was found, or what is wrong
  std::string mend;  ///< the command that mends it; empty when ok
};

/// Looks at programs, the appliance, firmware, space and the accelerator. Probes the accelerator anew: up to 3 s.
/// `plugins`: what they say they need is looked for as well, and the ones that cannot be loaded are named.
std::vector<Finding> examine_host(const std::filesystem::path& home, const std::vector<engine::Plugin>& plugins,
                                  std::stop_token stop = {});

/// Parts that a test can point elsewhere.
/// `user`: the plugin that needs it; empty: kiln itself does, and is of no use without.
Finding examine_program(const std::string& name, const std::string& user = {});
/// Whether the host lets kiln confine the programs that see files of strangers.
Finding examine_sandbox();
/// One that kiln can do without: `lacking` says what it cannot do then, `package` has it.
Finding examine_optional(const std::string& name, const std::string& lacking, const std::string& package);
/// Whether libvirt's daemon answers; without it there are still QEMU and other hosts.
Finding examine_libvirt(const std::string& uri = "qemu:///system", std::stop_token stop = {});
Finding examine_kernel(const std::filesystem::path& boot = "/boot",
                       const std::filesystem::path& modules = "/lib/modules");
Finding examine_space(const std::filesystem::path& home);

}  // namespace kiln::cli
