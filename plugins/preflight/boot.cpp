#include "boot.h"

#include <algorithm>
#include <functional>
#include <map>
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

/// A damaged one holds no boot loader.
bool mounts(Guest& g, const char* mount, const std::string& device) {
  try {
    g.call({mount, device, "/"});
    return true;
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    return false;
  }
}

/// Calls `work` with the folder below which each FAT file system's files are. One that the system does not mount comes
/// last, and takes the place of the system, which comes back after all of them. A `work` that throws ends the stage.
void for_each_fat(const System& system, const char* mount,
                  const std::function<void(const std::string& device, const std::string& folder)>& work) {
  Guest& g = system.guest;
  std::map<std::string, std::string> mounted;
  std::istringstream in(g.call({"mountpoints"}));
  for (std::string point, device; in >> point >> device;) mounted.emplace(device, point == "/" ? "" : point);
  std::vector<std::string> others;
  for (const Volume& volume : volumes_of(g)) {
    if (volume.type != "vfat") continue;
    const auto at = mounted.find(volume.device);
    at != mounted.end() ? work(volume.device, at->second) : others.push_back(volume.device);
  }
  for (const std::string& device : others) {
    g.call({"umount-all"});
    if (mounts(g, mount, device)) work(device, "");
  }
  if (!others.empty()) mount_system(g, system.read_only);
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

/// {from, to}
using Copies = std::vector<std::pair<std::string, std::string>>;

/// What has to lie at the fallback path: the loader last, because it is what everybody takes for the whole.
Copies copies_for(Guest& g, const std::string& loader, const std::string& target, const std::string& machine,
                  const std::string& name) {
  Copies out;
  // shim looks for what it starts beside itself.
  for (const std::string& other : {"grub" + machine + ".efi", "mm" + machine + ".efi"}) {
    const std::string beside = loader.substr(0, loader.rfind('/') + 1) + other;
    if (beside != loader && g.exists(beside) && !g.exists(target + other)) out.emplace_back(beside, target + other);
  }
  out.emplace_back(loader, target + name);
  return out;
}

/// All of them or none: an EFI system partition is small, and half a loader hides that there is none. Returns what
/// went wrong.
std::optional<Error> copy_all(Guest& g, const Copies& copies) {
  std::vector<std::string> written;
  try {
    for (const auto& [from, to] : copies) {
      const std::string content = g.read(from, loader_limit);
      written.push_back(to);
      g.write(to, content);
    }
    return std::nullopt;
  } catch (const Error& error) {
    for (const std::string& path : written) g.remove(path);
    if (is_cancelled(error)) throw;
    return error;
  }
}

}  // namespace

Findings look_at_boot(const System& system) {
  Guest& g = system.guest;
  Findings out;
  bool any = has_bios_loader(g);
  const std::string path = "/EFI/BOOT/" + fallback_name(system.arch);
  for_each_fat(system, "mount-ro", [&](const std::string& device, const std::string& folder) {
    if (!g.is_directory(folder + "/EFI")) return;
    any = any || g.exists(folder + path);
    if (!g.exists(folder + path)) out.push_back(no_fallback(device, path, loader_in(g, folder, system.arch)));
  });
  if (!any && out.empty())
    out.push_back({.code = std::string(code::no_boot_loader),
                   .severity = Severity::warning,
                   .what = "the disk has no boot loader that kiln knows",
                   .evidence = {"/boot: no configuration of GRUB, SYSLINUX or systemd-boot", "no EFI system partition"},
                   .hint = "import the disk that the machine starts from"});
  return out;
}

Mended mend_boot(const System& system) {
  Guest& g = system.guest;
  Mended out{.writes_labels = false};
  const std::string name = fallback_name(system.arch), machine = machine_name(system.arch);
  for_each_fat(system, "mount", [&](const std::string& device, const std::string& folder) {
    const std::string target = folder + "/EFI/BOOT/";
    const auto loader = loader_in(g, folder, system.arch);
    if (!loader || g.exists(target + name)) return;
    g.make_directory(folder + "/EFI/BOOT");
    const std::optional<Error> error = copy_all(g, copies_for(g, *loader, target, machine, name));
    if (error)
      out.not_done.push_back({.code = std::string(code::no_uefi_fallback),
                              .what = "the boot loader could not be copied: " + std::string(error->what()),
                              .evidence = error->evidence()});
    else
      out.done.push_back({.code = std::string(code::no_uefi_fallback),
                          .what = "mended: the boot loader was copied to where any UEFI firmware looks",
                          .evidence = {device + ": " + *loader + " → /EFI/BOOT/" + name}});
  });
  return out;
}

}  // namespace kiln::preflight
