// Finding programs, and what they may see of our environment.

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "process/process.h"

namespace kiln {
namespace {

/// The programs that kiln and its stages name in their needs, and Debian's packages of them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 15> packages{{
    {"bwrap", "bubblewrap"},
    {"gpg", "gpg"},
    {"gpgv", "gpgv"},
    {"mcopy", "mtools"},
    {"mke2fs", "e2fsprogs"},
    {"mkfs.vfat", "dosfstools"},
    {"mmdebstrap", "mmdebstrap"},
    {"qemu-img", "qemu-utils"},
    {"qemu-storage-daemon", "qemu-system-common"},
    {"qemu-system-x86_64", "qemu-system-x86"},
    {"sfdisk", "fdisk"},
    {"ssh", "openssh-client"},
    {"ssh-keygen", "openssh-client"},
    {"supermin", "supermin"},
    {"unshare", "util-linux"},
}};

std::string search_path() {
  const char* path = std::getenv("PATH");
  std::string dirs = path != nullptr && *path != '\0' ? path : "/usr/local/bin:/usr/bin:/bin";
  for (const std::string_view sbin : {"/usr/local/sbin", "/usr/sbin", "/sbin"})
    if ((":" + dirs + ":").find(":" + std::string(sbin) + ":") == std::string::npos) dirs.append(":").append(sbin);
  return dirs;
}

bool runnable(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0;
}

}  // namespace

std::optional<std::filesystem::path> find_program(std::string_view name) {
  if (name.find('/') != std::string_view::npos)
    return runnable(name) ? std::optional(std::filesystem::path(name)) : std::nullopt;
  const std::string dirs = search_path();
  for (std::size_t at = 0; at <= dirs.size() && !name.empty();) {
    const std::size_t end = std::min(dirs.find(':', at), dirs.size());
    const std::string dir = dirs.substr(at, end - at);
    // A relative folder in PATH would let the working directory choose the program.
    if (dir.starts_with('/') && runnable(std::filesystem::path(dir) / name)) return std::filesystem::path(dir) / name;
    at = end + 1;
  }
  return std::nullopt;
}

std::filesystem::path require_program(const std::string& name) {
  if (const auto found = find_program(name)) return *found;
  const std::string_view package = package_of(name);
  throw Error(name + " is not installed", package.empty() ? std::string("install it, or add its folder to PATH")
                                                          : "sudo apt-get install " + std::string(package));
}

std::filesystem::path require_own_program(const std::string& name) {
  const auto prefix = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  if (const auto found = find_program((prefix / "libexec/kiln" / name).string())) return *found;
  throw Error(name + " is missing beside kiln", "install kiln again",
              {"looked in " + (prefix / "libexec/kiln").string()});
}

std::string_view package_of(std::string_view program) {
  const std::size_t slash = program.rfind('/');
  if (slash != std::string_view::npos) program.remove_prefix(slash + 1);
  for (const auto& [name, package] : packages)
    if (name == program) return package;
  return {};
}

std::vector<std::string> minimal_environment(const std::vector<std::string>& additions) {
  std::vector<std::string> all{"PATH=" + search_path(), "LC_ALL=C"};
  for (const char* name : {"HOME", "TMPDIR"})
    if (const char* value = std::getenv(name)) all.push_back(std::string(name) + "=" + value);
  for (const std::string& addition : additions) {
    const std::string name = addition.substr(0, addition.find('=') + 1);
    std::erase_if(all, [&](const std::string& e) { return e.starts_with(name); });
    all.push_back(addition);
  }
  return all;
}

}  // namespace kiln
