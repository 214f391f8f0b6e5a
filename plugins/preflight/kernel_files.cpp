#include "kernel_files.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "text.h"

namespace kiln::preflight {
namespace {

constexpr std::size_t most_kernels = 8, most_names = 64;

/// Where an EFI system partition is mounted (systemd-gpt-auto-generator(8), and what distributions do).
constexpr const char* boot_folders[] = {"/boot/", "/efi/", "/boot/efi/"};

std::string last_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string folder_above(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool is_spare(const std::string& path) {
  return path.ends_with(".old") || path.ends_with(".hmac") || path.ends_with(".bak") ||
         path.find("rescue") != std::string::npos || path.find("kdump") != std::string::npos;
}

/// What the images are called after: "6.1.0-13-amd64" of Debian, "virt" of Alpine, "linux" of Arch.
std::vector<std::string> names_of_images(Guest& g) {
  std::vector<std::string> out;
  for (const std::string boot : boot_folders) {
    for (const char* start : {"vmlinuz-", "vmlinux-", "Image-", "kernel-"})
      for (const std::string& path : g.glob(boot + start + "*"))
        if (!is_spare(path)) out.push_back(last_of(path).substr(std::strlen(start)));
    for (const std::string& path : g.glob(boot + "*/*/linux"))  // kernel-install(8): MACHINE-ID/VERSION
      out.push_back(last_of(folder_above(path)));
  }
  for (const char* pattern : {"/lib/modules/*/vmlinuz", "/usr/lib/modules/*/vmlinuz"})
    for (const std::string& path : g.glob(pattern)) out.push_back(last_of(folder_above(path)));
  return out;
}

/// A kernel and its initramfs in one file (Unified Kernel Image), which kiln does not take apart.
std::vector<std::string> unified_images(Guest& g) {
  std::vector<std::string> out;
  for (const std::string boot : boot_folders)
    for (const std::string& path : g.glob(boot + "EFI/Linux/*.efi")) out.push_back(path);
  return out;
}

/// What a kernel has that lies in a Unified Kernel Image only.
std::vector<std::string> modules_without_image(Guest& g) {
  std::vector<std::string> out;
  for (const std::string& path : glob_all(g, {"/lib/modules/*/modules.dep", "/usr/lib/modules/*/modules.dep"}))
    out.push_back(last_of(folder_above(path)));
  return out;
}

/// {what packages call it, version}: Arch writes the first into a file "pkgbase" among the modules.
using Packages = std::multimap<std::string, std::string>;

Packages packages_of(Guest& g) {
  Packages out;
  for (const std::string& path : glob_all(g, {"/lib/modules/*/pkgbase", "/usr/lib/modules/*/pkgbase"}))
    out.emplace(trimmed(text_of(g, path, 4096).value_or("")), last_of(folder_above(path)));
  return out;
}

/// An upgrade may leave the folder of the version before.
std::optional<std::string> newest(const std::vector<std::string>& versions) {
  const auto older = [](const std::string& a, const std::string& b) { return strverscmp(a.c_str(), b.c_str()) < 0; };
  const auto it = std::ranges::max_element(versions, older);
  return it == versions.end() ? std::nullopt : std::optional(*it);
}

std::optional<std::string> modules_folder(Guest& g, const std::string& version) {
  for (const char* start : {"/lib/modules/", "/usr/lib/modules/"})
    if (g.is_directory(start + version)) return start + version;
  return std::nullopt;
}

/// The version of the kernel whose image is called so.
std::string version_of(Guest& g, const std::string& name, const Packages& packages) {
  if (modules_folder(g, name)) return name;
  std::vector<std::string> found;
  const auto [first, last] = packages.equal_range(name);
  for (auto it = first; it != last; ++it) found.push_back(it->second);
  if (found.empty())  // "vmlinuz-virt" has its modules in 6.6.1-0-virt
    for (const char* start : {"/lib/modules/*-", "/usr/lib/modules/*-"})
      for (const std::string& path : g.glob(start + name + "/modules.dep"))
        found.push_back(last_of(folder_above(path)));
  return newest(found).value_or(name);
}

std::string initramfs_of(Guest& g, const Kernel& kernel) {
  for (const std::string& name : kernel.names) {
    for (const std::string boot : boot_folders)
      for (const std::string& path : {boot + "initrd.img-" + name, boot + "initramfs-" + name + ".img",
                                      boot + "initrd-" + name, boot + "initramfs-" + name})
        if (g.is_file(path)) return path;
    for (const std::string& path : {"/usr/lib/modules/" + name + "/initrd", "/lib/modules/" + name + "/initramfs.img"})
      if (g.is_file(path)) return path;
    for (const std::string boot : boot_folders)
      for (const std::string& path : g.glob(boot + "*/" + name + "/initrd")) return path;
  }
  return {};
}

/// Every initramfs that is there, spare ones apart.
std::vector<std::string> all_initramfs(Guest& g) {
  std::vector<std::string> out = unified_images(g);
  for (const std::string boot : boot_folders)
    for (const char* pattern : {"initrd-*", "initrd.img-*", "initramfs-*", "initrd.gz", "*/*/initrd"})
      for (const std::string& path : g.glob(boot + pattern))
        if (!is_spare(path)) out.push_back(path);
  return out;
}

void add(std::vector<Kernel>& all, Guest& g, const std::string& name, const Packages& packages) {
  const std::string version = version_of(g, name, packages);
  auto it = std::ranges::find(all, version, &Kernel::version);
  if (it == all.end()) {
    const std::string folder = modules_folder(g, version).value_or("/lib/modules/" + version);
    it = all.insert(all.end(), {.version = version, .names = {version}, .folder = folder});
    for (const auto& [package, of] : packages)
      if (of == version) it->names.push_back(package);
  }
  if (std::ranges::find(it->names, name) == it->names.end()) it->names.push_back(name);
}

}  // namespace

std::vector<Kernel> kernels_of(Guest& g) {
  std::vector<Kernel> out;
  std::vector<std::string> names = names_of_images(g);
  if (names.empty() && !unified_images(g).empty()) names = modules_without_image(g);
  if (names.size() > most_names) names.resize(most_names);
  const Packages packages = packages_of(g);
  for (const std::string& name : names) add(out, g, name, packages);
  const auto no_modules = [&](const Kernel& k) { return !g.is_directory(k.folder); };
  if (!std::ranges::all_of(out, no_modules)) std::erase_if(out, no_modules);  // what was once a kernel
  if (out.size() > most_kernels) out.resize(most_kernels);
  for (Kernel& kernel : out) kernel.initramfs = initramfs_of(g, kernel);
  std::vector<std::string> nobodys = all_initramfs(g);
  for (const Kernel& kernel : out) std::erase(nobodys, kernel.initramfs);
  for (Kernel& kernel : out)
    if (kernel.initramfs.empty()) kernel.maybe = nobodys;
  return out;
}

}  // namespace kiln::preflight
