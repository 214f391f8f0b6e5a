#include "services.h"

#include <vector>

#include "text.h"

namespace kiln::preflight {
namespace {

constexpr const char* switched_off = "/etc/cloud/cloud-init.disabled";  // cloud-init, "How to disable cloud-init"

bool has_cloud_init(Guest& g) {
  for (const char* path : {"/usr/bin/cloud-init", "/usr/local/bin/cloud-init", "/bin/cloud-init"})
    if (g.exists(path)) return true;
  // CoreOS, Flatcar: Ignition does the same at the first boot.
  return g.exists("/usr/lib/dracut/modules.d/30ignition/ignition") || g.exists("/usr/bin/ignition");
}

/// Whose tools, and the programs that tell.
struct Tools {
  const char* name;
  const char* where;
  std::vector<const char*> programs;
};

const std::vector<Tools>& all_tools() {
  static const std::vector<Tools> all{
      {"open-vm-tools or VMware Tools",
       "VMware",
       {"/usr/bin/vmtoolsd", "/usr/sbin/vmtoolsd", "/etc/vmware-tools/locations"}},
      {"VirtualBox Guest Additions",
       "VirtualBox",
       {"/usr/sbin/VBoxService", "/opt/VBoxGuestAdditions-*/sbin/VBoxService"}},
      {"Hyper-V daemons",
       "Hyper-V",
       {"/usr/sbin/hv_kvp_daemon", "/usr/sbin/hypervkvpd", "/usr/sbin/hv_vss_daemon", "/usr/sbin/hypervvssd"}},
      {"Xen guest utilities", "Xen", {"/usr/sbin/xe-daemon", "/usr/sbin/xenstored"}},
      {"Parallels Tools", "Parallels", {"/usr/bin/prltoolsd", "/usr/bin/prltools_updater.sh"}},
      {"the Azure agent", "Azure", {"/usr/sbin/waagent"}},
      {"the Google guest agent", "Google Cloud", {"/usr/bin/google_guest_agent"}},
      {"the Amazon SSM agent", "AWS", {"/usr/bin/amazon-ssm-agent", "/snap/bin/amazon-ssm-agent*"}},
  };
  return all;
}

}  // namespace

Findings look_at_cloud_init(const System& system) {
  Guest& g = system.guest;
  Finding out{.code = std::string(code::no_cloud_init), .severity = Severity::warning, .what = {}};
  if (!has_cloud_init(g)) {
    out.what = "cloud-init is not installed";
    out.evidence = {"/usr/bin/cloud-init: no such file"};
    out.hint =
        "install it in the machine before it is exported: the appliance has no network and reaches no repository; a "
        "package that is at hand goes in with the stage customize: copy_in, then run";
    return {out};
  }
  if (!g.exists(switched_off)) return {};
  out.what = "cloud-init is switched off";
  out.evidence = {std::string(switched_off) + " exists"};
  out.hint = "remove that file";
  out.mendable = true;
  return {out};
}

Mended mend_cloud_init(const System& system) {
  system.guest.remove(switched_off);
  return {.done = {{.code = std::string(code::no_cloud_init),
                    .what = "mended: cloud-init is no longer switched off",
                    .evidence = {std::string(switched_off) + " was removed"}}},
          .writes_labels = false};
}

Findings look_at_guest_tools(const System& system) {
  Findings out;
  for (const Tools& tools : all_tools()) {
    const std::vector<std::string> found = glob_all(system.guest, tools.programs);
    if (found.empty()) continue;
    out.push_back({.code = std::string(code::vendor_tools),
                   .severity = Severity::warning,
                   .what = std::string("the system runs ") + tools.name + ", made for " + tools.where,
                   .evidence = found,
                   .hint = "remove their package where the image is not for " + std::string(tools.where)});
  }
  return out;
}

}  // namespace kiln::preflight
