#include "operations.h"

#include <algorithm>
#include <optional>
#include <sstream>

namespace kiln::sysprep {
namespace {

/// What the name itself is: a link is not followed.
struct Entry {
  std::uint64_t bytes = 0;
  unsigned mode = 0;
  bool regular() const { return (mode & 0170000) == 0100000; }
  bool directory() const { return (mode & 0170000) == 0040000; }
};

Entry look(Guest& g, const std::string& path) {
  Entry e;
  std::istringstream(g.call({"lstat", path})) >> e.bytes >> std::oct >> e.mode;
  return e;
}

std::vector<std::string> below(Guest& g, const std::string& folder) {
  std::vector<std::string> names;
  std::istringstream in(g.call({"find", folder}));
  for (std::string name; std::getline(in, name);) names.push_back(folder + "/" + name);
  return names;
}

/// messages.1, syslog.2.gz, dmesg.0, messages-20260101, Xorg.0.log.old
bool is_rotated(std::string_view name) {
  for (const std::string_view end : {".gz", ".xz", ".bz2", ".zst", ".old"})
    if (name.ends_with(end)) return true;
  const std::size_t mark = name.find_last_of(".-");
  if (mark == std::string_view::npos || mark + 1 == name.size()) return false;
  const std::string_view tail = name.substr(mark + 1);
  return tail.find_first_not_of("0123456789") == std::string_view::npos &&
         (name[mark] == '.' ? tail.size() < 3 : tail.size() == 8);
}

// An empty /etc/machine-id makes systemd write a new one at boot (machine-id(5)); without the file it would take the
// boot for the very first and set the presets of all units.
void forget_machine_id(Guest& g, Tally& tally) {
  if (g.exists("/etc/machine-id")) {
    remove_counted(g, "/etc/machine-id", tally);
    g.write("/etc/machine-id", "");
    g.chmod("/etc/machine-id", 0444);
  }
  if (g.glob("/var/lib/dbus/machine-id").empty()) return;
  remove_counted(g, "/var/lib/dbus/machine-id", tally);
  g.link("/etc/machine-id", "/var/lib/dbus/machine-id");
}

// Runs ssh-keygen -A at a boot that finds no key. Where cloud-init makes keys, too, it does so before sshd starts.
constexpr const char* host_key_unit =
    "[Unit]\n"
    "Description=Make the SSH host keys of this machine\n"
    "Before=ssh.service sshd.service ssh.socket sshd.socket\n"
    "ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key\n"
    "\n"
    "[Service]\n"
    "Type=oneshot\n"
    "ExecStart=/usr/bin/ssh-keygen -A\n"
    "\n"
    "[Install]\n"
    "WantedBy=multi-user.target\n";

void renew_host_keys(Guest& g, Tally& tally) {
  for (const std::string& key : g.glob("/etc/ssh/ssh_host_*")) remove_counted(g, key, tally);
  const bool server = g.exists("/usr/sbin/sshd") && g.exists("/usr/bin/ssh-keygen");
  const bool systemd = g.exists("/lib/systemd/systemd") || g.exists("/usr/lib/systemd/systemd");
  if (!server || !systemd) return;
  // Red Hat and SUSE make missing keys by themselves.
  for (const char* own : {"/usr/lib/systemd/system/sshd-keygen@.service", "/usr/lib/systemd/system/sshd-keygen.service",
                          "/usr/sbin/sshd-gen-keys-start"})
    if (g.exists(own)) return;
  const std::string unit = "kiln-ssh-host-keys.service", folder = "/etc/systemd/system/";
  g.make_directory(folder + "multi-user.target.wants");
  g.write(folder + unit, host_key_unit);
  g.chmod(folder + unit, 0644);
  g.link("../" + unit, folder + "multi-user.target.wants/" + unit);
}

void forget_cloud_init(Guest& g, Tally& tally) {
  // A seed is configuration that somebody put there, and no state.
  for (const std::string& path : g.glob("/var/lib/cloud/*"))
    if (path != "/var/lib/cloud/seed") remove_counted(g, path, tally);
  if (!g.exists("/usr/bin/cloud-init")) return;
  // Network settings that cloud-init wrote for this machine's cards, and writes again for the next.
  for (const char* path : {"/etc/netplan/50-cloud-init.yaml", "/etc/network/interfaces.d/50-cloud-init",
                           "/etc/network/interfaces.d/50-cloud-init.cfg",
                           "/etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection"})
    if (g.exists(path)) remove_counted(g, path, tally);
}

void zero_free_space(Guest& g, Tally& tally) {
  // ext4 keeps room next to files that were just written, and trims no reserved block: mounting anew lets go of it.
  g.call({"umount-all"});
  std::istringstream mounted(g.call({"mountpoints"}));
  for (std::string point, device; mounted >> point >> device;) {
    try {
      g.call({"fstrim", point});
    } catch (const Error& error) {
      if (is_cancelled(error)) throw;
      g.call({"zero-free-space", point});  // a file of zeros: slower, and it does not reach every free block
      tally.warnings.push_back(point + " cannot be trimmed: deleted data may still be in its free blocks");
    }
  }
}

}  // namespace

void remove_counted(Guest& g, const std::string& path, Tally& tally) {
  const Entry entry = look(g, path);
  if (entry.directory()) {
    tally.bytes += std::stoull(g.call({"du", path}));
    tally.files += std::max<std::size_t>(1, below(g, path).size());  // one look for the tree, however large
  } else {
    tally.bytes += entry.regular() ? entry.bytes : 0;
    ++tally.files;
  }
  g.remove(path);
}

void empty_counted(Guest& g, const std::string& folder, Tally& tally) {
  if (!g.is_directory(folder)) return;
  for (const std::string& path : below(g, folder)) {
    const Entry entry = look(g, path);
    if (!entry.regular()) continue;
    if (is_rotated(path.substr(path.rfind('/') + 1))) {
      remove_counted(g, path, tally);
    } else if (entry.bytes > 0) {
      tally.bytes += entry.bytes;
      ++tally.files;
      g.truncate(path);
    }
  }
}

namespace {

/// What tells this machine from others.
std::vector<Operation> identities() {
  return {
      {.name = "machine-id", .summary = "the machine's identity, new at each first boot", .act = forget_machine_id},
      {.name = "ssh-host-keys", .summary = "SSH host keys; a unit makes new ones at boot", .act = renew_host_keys},
      {.name = "cloud-init",
       .summary = "state of cloud-init, so that it runs as for a new machine",
       .act = forget_cloud_init},
      {.name = "dhcp",
       .summary = "DHCP leases and identifiers",
       .remove = {"/var/lib/dhcp/*", "/var/lib/dhclient/*", "/var/lib/dhcpcd/*.lease*", "/var/lib/dhcpcd/duid",
                  "/var/lib/dhcpcd/secret", "/etc/dhcpcd.duid", "/etc/dhcpcd.secret", "/var/lib/NetworkManager/*lease*",
                  "/var/lib/NetworkManager/secret_key", "/var/lib/NetworkManager/seen-bssids",
                  "/var/lib/NetworkManager/timestamps", "/var/lib/wicked/*"}},
      {.name = "random-seed",
       .summary = "saved randomness: two machines must not start with the same",
       .remove = {"/var/lib/systemd/random-seed", "/var/lib/random-seed", "/var/lib/urandom/random-seed",
                  "/boot/loader/random-seed", "/boot/efi/loader/random-seed", "/var/lib/systemd/credential.secret"}},
      {.name = "udev-net",
       .summary = "names bound to this machine's network cards",
       .remove = {"/etc/udev/rules.d/70-persistent-net.rules", "/dev/.udev/rules.d/70-persistent-net.rules"}},
  };
}

/// What its use has left behind.
std::vector<Operation> traces() {
  return {
      {.name = "logs",
       .summary = "logs: files become empty, rotated ones and journals go",
       .remove = {"/var/log/journal/*", "/var/log/installer", "/var/log/anaconda", "/root/install.log*",
                  "/root/anaconda-ks.cfg", "/root/original-ks.cfg"},
       .empty = {"/var/log"}},
      {.name = "shell-history",
       .summary = "what was typed into shells and other prompts",
       .remove = {"/root/.*history", "/home/*/.*history", "/root/.*_hist", "/home/*/.*_hist", "/root/.lesshst",
                  "/home/*/.lesshst", "/root/.viminfo", "/home/*/.viminfo"}},
      {.name = "ssh-known-hosts",
       .summary = "machines that users connected to",
       .remove = {"/root/.ssh/known_hosts*", "/home/*/.ssh/known_hosts*"}},
      {.name = "account-backups",
       .summary = "copies of account files, with hashes of passwords that were changed",
       .remove = {"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"}},
      {.name = "mail", .summary = "mail of local users", .remove = {"/var/mail/*", "/var/spool/mail/*"}},
      {.name = "crash-dumps",
       .summary = "core files and crash reports",
       .remove = {"/var/crash/*", "/var/lib/systemd/coredump/*", "/var/lib/apport/coredump/*", "/var/spool/abrt/*",
                  "/var/tmp/abrt/*"}},
  };
}

/// What takes room, and what deleted files left in free space. Last, because the others delete, too.
std::vector<Operation> leftovers() {
  return {
      {.name = "package-cache",
       .summary = "downloaded packages and lists of packages",
       .remove = {"/var/cache/apt/archives/*.deb", "/var/cache/apt/archives/partial/*", "/var/cache/apt/*.bin",
                  "/var/lib/apt/lists/*", "/var/cache/dnf/*", "/var/cache/libdnf5/*", "/var/cache/yum/*",
                  "/var/cache/zypp/*", "/var/cache/pacman/pkg/*", "/var/cache/apk/*", "/var/cache/PackageKit/*"}},
      {.name = "tmp-files",
       .summary = "temporary files",
       .remove = {"/tmp/*", "/tmp/.[!.]*", "/var/tmp/*", "/var/tmp/.[!.]*"}},
      {.name = "free-space",
       .summary = "free space reads as zeros: what was deleted, now or earlier, is gone",
       .act = zero_free_space},
  };
}

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = [] {
    std::vector<Operation> list = identities();
    for (const auto& more : {traces(), leftovers()}) list.insert(list.end(), more.begin(), more.end());
    return list;
  }();
  return all;
}

}  // namespace kiln::sysprep
