#include "windows.h"

#include "text.h"

namespace kiln::preflight {
namespace {

/// NTFS is told apart by case here, and installers have written the folders in several.
bool any(Guest& g, const std::vector<const char*>& patterns) {
  return !glob_all(g, patterns).empty();
}

void look_at_drivers(Guest& g, Findings& out) {
  const bool disk = any(g, {"/Windows/System32/drivers/viostor.sys", "/WINDOWS/system32/drivers/viostor.sys",
                            "/Windows/System32/drivers/vioscsi.sys", "/WINDOWS/system32/drivers/vioscsi.sys"});
  const bool net = any(g, {"/Windows/System32/drivers/netkvm.sys", "/WINDOWS/system32/drivers/netkvm.sys"});
  if (disk && net) return;
  Finding finding{.code = std::string(code::no_virtio),
                  .severity = Severity::warning,
                  .what = "Windows has no drivers for virtio",
                  .hint = "install virtio-win in the machine before it is exported"};
  if (!disk) finding.evidence.emplace_back("/Windows/System32/drivers: neither viostor.sys nor vioscsi.sys");
  if (!net) finding.evidence.emplace_back("/Windows/System32/drivers: no netkvm.sys");
  out.push_back(std::move(finding));
}

}  // namespace

Findings look_at_windows(const System& system) {
  Guest& g = system.guest;
  Findings out;
  look_at_drivers(g, out);
  const std::string cloudbase = "/Program Files/Cloudbase Solutions/Cloudbase-Init";
  if (!g.is_directory(cloudbase))
    out.push_back({.code = std::string(code::no_cloud_init),
                   .severity = Severity::warning,
                   .what = "Cloudbase-Init is not installed",
                   .evidence = {cloudbase + ": no such folder"},
                   .hint = "install it in the machine before it is exported"});
  for (const char* folder : {"/Program Files/VMware/VMware Tools", "/Program Files/Oracle/VirtualBox Guest Additions"})
    if (g.is_directory(folder))
      out.push_back({.code = std::string(code::vendor_tools),
                     .severity = Severity::warning,
                     .what = "the system has the guest tools of another hypervisor",
                     .evidence = {folder},
                     .hint = "uninstall them before the machine is exported"});
  return out;
}

}  // namespace kiln::preflight
