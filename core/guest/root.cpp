#include "guest/root.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include <kiln/text.h>

#include "guest/paths.h"

namespace kiln {
namespace {

constexpr std::size_t fact_limit = 256;
/// More than any sane fstab names. The rest would only cost time: a stranger may have written 20 000 lines.
constexpr std::size_t mount_limit = 64;

/// A string that inspection may not know.
void put(Facts& facts, const char* name, char* owned) {
  if (owned == nullptr) return;
  if (const std::string_view value = owned; !value.empty() && value != "unknown")
    facts[name] = printable(value, fact_limit);
  std::free(owned);
}

Facts facts_of(guestfs_h* g, const char* root) {
  Facts facts{{"os.root", printable(root, fact_limit)}};
  put(facts, "os.type", guestfs_inspect_get_type(g, root));
  put(facts, "os.distro", guestfs_inspect_get_distro(g, root));
  put(facts, "os.product", guestfs_inspect_get_product_name(g, root));
  put(facts, "os.arch", guestfs_inspect_get_arch(g, root));
  put(facts, "os.hostname", guestfs_inspect_get_hostname(g, root));
  const int major = guestfs_inspect_get_major_version(g, root);
  const int minor = guestfs_inspect_get_minor_version(g, root);
  if (major > 0 || minor > 0) facts["os.version"] = fmt::format("{}.{}", std::max(major, 0), std::max(minor, 0));
  return facts;
}

/// "/dev/sda1  debian, Debian GNU/Linux 12"
std::string describe_root(guestfs_h* g, const std::string& root) {
  const Facts facts = facts_of(g, root.c_str());
  std::string line = printable(root, fact_limit);
  for (const char* name : {"os.type", "os.distro", "os.product"})
    if (const auto it = facts.find(name); it != facts.end()) line += "  " + it->second;
  return line;
}

Error too_many(guestfs_h* g, const std::vector<std::string>& roots) {
  std::vector<std::string> evidence;
  for (std::size_t i = 0; i < std::min<std::size_t>(roots.size(), 8); ++i)
    evidence.push_back(describe_root(g, roots[i]));
  return Error(fmt::format("the disk holds {} operating systems", roots.size()),
               "kiln edits a disk with one; remove the others, or take them apart into disks of their own",
               std::move(evidence));
}

Root root_of(const Appliance& appliance, const std::string& device) {
  guestfs_h* g = appliance.handle();
  Root root{facts_of(g, device.c_str()), {}};
  const std::vector<std::string> pairs =
      appliance.list(guestfs_inspect_get_mountpoints(g, device.c_str()), "cannot learn the mount points");
  // fstab may call the root by a name from the machine it came from; inspection has seen where it is.
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
    root.mounts.emplace_back(pairs[i], pairs[i] == "/" ? device : pairs[i + 1]);
  std::stable_sort(root.mounts.begin(), root.mounts.end(),
                   [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); });
  if (root.mounts.size() > mount_limit) root.mounts.resize(mount_limit);
  return root;
}

std::string uuid_of(guestfs_h* g, const std::string& device) {
  char* owned = guestfs_vfs_uuid(g, device.c_str());
  std::string uuid = owned == nullptr ? "" : owned;
  std::free(owned);
  return uuid;
}

/// "/dev/sda2" for "/dev/sdb2", when both are the same file system by its UUID.
std::optional<std::string> twin_on(const Appliance& appliance, const std::string& device, const std::string& disk) {
  if (!device.starts_with("/dev/sd") || device.size() <= disk.size()) return std::nullopt;
  std::string twin = disk + device.substr(disk.size());
  const std::string uuid = uuid_of(appliance.handle(), device);
  if (uuid.empty() || uuid_of(appliance.handle(), twin) != uuid) return std::nullopt;
  return twin;
}

}  // namespace

std::optional<Root> find_root(const Appliance& appliance) {
  guestfs_h* g = appliance.handle();
  const std::vector<std::string> roots = appliance.list(guestfs_inspect_os(g), "cannot inspect the disk");
  if (roots.empty()) {
    appliance.check(guestfs_umount_all(g), "cannot unmount");
    return std::nullopt;
  }
  if (roots.size() > 1) throw too_many(g, roots);
  Root root = root_of(appliance, roots[0]);
  appliance.check(guestfs_umount_all(g), "cannot unmount");
  return root;
}

std::optional<Root> find_root_on(const Appliance& appliance, const std::string& disk) {
  guestfs_h* g = appliance.handle();
  std::vector<std::string> roots = appliance.list(guestfs_inspect_get_roots(g), "cannot inspect the disk");
  if (roots.empty()) roots = appliance.list(guestfs_inspect_os(g), "cannot inspect the disk");
  std::erase_if(roots, [&](const std::string& root) { return !root.starts_with(disk); });
  if (roots.size() > 1) throw too_many(g, roots);
  appliance.check(guestfs_umount_all(g), "cannot unmount");
  if (roots.empty()) return std::nullopt;
  Root root = root_of(appliance, roots[0]);
  std::erase_if(root.mounts, [&](auto& mount) {
    if (mount.second.starts_with(disk)) return false;
    const auto twin = twin_on(appliance, mount.second, disk);
    if (twin) mount.second = *twin;
    return !twin;
  });
  return root;
}

void mount_root(const Appliance& appliance, const Root& root, const std::function<void(std::string_view)>& log,
                bool read_only) {
  for (const auto& [point, device] : root.mounts) {
    // A mount point may lie behind a link, which mount would follow in the appliance.
    const std::string real = point != "/" && is_folder(appliance, point) ? real_path(appliance, point) : point;
    const auto mount = read_only ? guestfs_mount_ro : guestfs_mount;
    if (mount(appliance.handle(), device.c_str(), real.c_str()) == 0) continue;
    if (point == "/") appliance.fail("cannot mount " + device);
    if (log)
      log(fmt::format("not mounted: {} at {}: {}", printable(device, fact_limit), printable(point, fact_limit),
                      printable(appliance.last_error())));
  }
}

}  // namespace kiln
