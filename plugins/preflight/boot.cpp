#include "boot.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <sstream>

#include "devices.h"
#include "text.h"

namespace kiln::preflight {
namespace {

constexpr std::uint64_t loader_limit = 64u << 20;

/// How the names of UEFI programs end on this machine (UEFI 2.10, 3.5.1.1), in lower case.
std::string machine_name(const std::string& arch) {
  if (arch == "aarch64") return "aa64";
  if (arch == "i386") return "ia32";
  if (arch == "riscv64") return "riscv64";
  return "x64";
}

std::string fallback_name(const std::string& arch) {
  std::string name = "BOOT" + machine_name(arch);
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return name + ".EFI";
}

/// {device, mount point}, parents before children.
using Mounts = std::vector<std::pair<std::string, std::string>>;

/// A file system in the place of the system's own, which come back after it, whatever happened. They are mounted as
/// they were: to be found anew they would have to be inspected, which takes as long as all checks.
class MountedAlone {
 public:
  MountedAlone(Guest& g, const std::string& device, const Mounts& before) : g_(g), before_(before) {
    g_.call({"umount-all"});
    try {
      g_.call({"mount", device, "/"});
      mounted_ = true;
    } catch (const Error& error) {
      if (is_cancelled(error)) throw;  // a damaged one holds no boot loader
    }
  }
  MountedAlone(const MountedAlone&) = delete;
  MountedAlone& operator=(const MountedAlone&) = delete;
  ~MountedAlone() {
    try {
      g_.call({"umount-all"});
      for (const auto& [device, point] : before_) g_.call({"mount", device, point});
    } catch (const Error&) {
      give_up();
    }
  }
  explicit operator bool() const { return mounted_; }

 private:
  /// With nothing mounted, the next call finds the system by itself; or says that the appliance is gone.
  void give_up() {
    try {
      g_.call({"umount-all"});
    } catch (const Error&) {
    }
  }

  Guest& g_;
  const Mounts& before_;
  bool mounted_ = false;
};

/// Calls `work` with the folder below which each FAT file system's files are; one that the system does not mount is
/// mounted alone for it.
void for_each_fat(Guest& g, const std::function<void(const std::string& device, const std::string& folder)>& work) {
  Mounts mounted;
  std::istringstream in(g.call({"mountpoints"}));
  for (std::string point, device; in >> point >> device;) mounted.emplace_back(device, point);
  for (const Volume& volume : volumes_of(g)) {
    if (volume.type != "vfat") continue;
    const auto at = std::ranges::find(mounted, volume.device, &std::pair<std::string, std::string>::first);
    if (at != mounted.end()) {
      work(volume.device, at->second == "/" ? "" : at->second);
      continue;
    }
    const MountedAlone alone(g, volume.device, mounted);
    if (alone) work(volume.device, "");
  }
}

/// An installed boot loader, the one to be preferred first: shim starts the others when Secure Boot is on.
std::optional<std::string> loader_in(Guest& g, const std::string& folder, const std::string& arch) {
  const std::string machine = machine_name(arch);
  for (const std::string& name : {"shim" + machine, "systemd-boot" + machine, "grub" + machine, std::string("grub")})
    for (const std::string& path : g.glob(folder + "/EFI/*/" + name + ".efi"))
      if (lower(path).find("/efi/boot/") == std::string::npos) return path;
  return std::nullopt;
}

bool has_bios_loader(Guest& g) {
  for (const char* path : {"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/menu.lst", "/boot/grub/grub.conf",
                           "/boot/extlinux.conf", "/boot/extlinux/extlinux.conf", "/boot/syslinux/syslinux.cfg",
                           "/etc/lilo.conf", "/boot/loader/loader.conf"})
    if (g.exists(path)) return true;
  return !g.glob("/boot/loader/entries/*.conf").empty();
}

Finding no_fallback(const std::string& device, const std::string& path, const std::optional<std::string>& loader) {
  return {.code = std::string(code::no_uefi_fallback),
          .severity = Severity::warning,
          .what = "UEFI firmware of another machine finds no boot loader",
          .evidence = {device + " has no " + path, loader ? "its boot loader is " + *loader : "and no other loader"},
          .hint = "copy the boot loader there, or install it with grub-install --removable",
          .mendable = loader.has_value()};
}

}  // namespace

Findings look_at_boot(const System& system) {
  Guest& g = system.guest;
  Findings out;
  bool any = has_bios_loader(g);
  const std::string path = "/EFI/BOOT/" + fallback_name(system.arch);
  for_each_fat(g, [&](const std::string& device, const std::string& folder) {
    if (!g.is_directory(folder + "/EFI")) return;
    any = any || g.exists(folder + path);
    if (!g.exists(folder + path)) out.push_back(no_fallback(device, path, loader_in(g, folder, system.arch)));
  });
  if (!any && out.empty())
    out.push_back({.code = std::string(no_boot_loader),
                   .severity = Severity::warning,
                   .what = "the disk has no boot loader that kiln knows",
                   .evidence = {"/boot: no configuration of GRUB, SYSLINUX or systemd-boot", "no EFI system partition"},
                   .hint = "import the disk that the machine starts from"});
  return out;
}

Findings mend_boot(const System& system) {
  Guest& g = system.guest;
  Findings out;
  const std::string target = "/EFI/BOOT/", name = fallback_name(system.arch), machine = machine_name(system.arch);
  for_each_fat(g, [&](const std::string& device, const std::string& folder) {
    const auto loader = loader_in(g, folder, system.arch);
    if (!loader || g.exists(folder + target + name)) return;
    g.make_directory(folder + "/EFI/BOOT");
    g.write(folder + target + name, g.read(*loader, loader_limit));
    // shim looks for what it starts beside itself.
    for (const std::string& other : {"grub" + machine + ".efi", "mm" + machine + ".efi"}) {
      const std::string beside = loader->substr(0, loader->rfind('/') + 1) + other;
      if (beside != *loader && g.exists(beside)) g.write(folder + target + other, g.read(beside, loader_limit));
    }
    out.push_back({.code = std::string(code::no_uefi_fallback),
                   .what = "mended: the boot loader was copied to where any UEFI firmware looks",
                   .evidence = {device + ": " + *loader + " → " + target + name}});
  });
  return out;
}

}  // namespace kiln::preflight
