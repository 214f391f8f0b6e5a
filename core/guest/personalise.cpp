#include "guest/personalise.h"

#include <set>
#include <utility>

#include <kiln/file.h>

#include "process/process.h"

namespace kiln {
namespace {

constexpr char host_keys[] = "/etc/ssh/ssh_host_*_key";

/// "ed25519" of "/etc/ssh/ssh_host_ed25519_key".
std::string kind_of(const std::string& path) {
  constexpr std::string_view before = "/etc/ssh/ssh_host_", after = "_key";
  return path.substr(before.size(), path.size() - before.size() - after.size());
}

std::set<std::string> kinds_wanted(Guest& guest) {
  std::set<std::string> kinds;
  for (const std::string& path : guest.glob(host_keys)) kinds.insert(kind_of(path));
  if (kinds.empty() && guest.exists("/etc/ssh/sshd_config")) kinds = {"rsa", "ecdsa", "ed25519"};
  std::erase_if(kinds, [](const std::string& kind) { return kind != "rsa" && kind != "ecdsa" && kind != "ed25519"; });
  return kinds;
}

/// Made on the host: it has more randomness, and is faster than an emulated processor.
void new_host_keys(Guest& guest, const std::string& hostname, const std::filesystem::path& folder) {
  const std::set<std::string> kinds = kinds_wanted(guest);
  for (const std::string& path : guest.glob(host_keys)) {
    guest.remove(path);
    guest.remove(path + ".pub");
  }
  for (const std::string& kind : kinds) {
    const auto file = folder / ("host-key-" + kind), pub = folder / ("host-key-" + kind + ".pub");
    run_checked({"ssh-keygen", {"-q", "-t", kind, "-N", "", "-C", "root@" + hostname, "-f", file.string()}});
    const std::string path = "/etc/ssh/ssh_host_" + kind + "_key";
    guest.write(path, read_text(file));
    guest.chmod(path, 0600);
    guest.write(path + ".pub", read_text(pub));
    guest.chmod(path + ".pub", 0644);
    std::filesystem::remove(file);
    std::filesystem::remove(pub);
  }
}

void new_machine_id(Guest& guest, const std::string& id) {
  if (!guest.exists("/etc/machine-id") && !guest.is_directory("/etc/systemd")) return;
  guest.remove("/etc/machine-id");
  guest.write("/etc/machine-id", id + "\n");
  guest.chmod("/etc/machine-id", 0444);
  if (guest.glob("/var/lib/dbus/machine-id").empty()) return;
  guest.remove("/var/lib/dbus/machine-id");
  guest.link("/etc/machine-id", "/var/lib/dbus/machine-id");
}

/// Where systemd and Debian's sysvinit keep it between boots.
void new_seed(Guest& guest, const std::string& seed) {
  for (const char* folder : {"/var/lib/systemd", "/var/lib/urandom"}) {
    if (!guest.is_directory(folder)) continue;
    const std::string path = std::string(folder) + "/random-seed";
    guest.write(path, seed);
    guest.chmod(path, 0600);
  }
}

void add_root_keys(Guest& guest, const std::vector<std::string>& keys) {
  if (keys.empty()) return;
  constexpr char folder[] = "/root/.ssh", file[] = "/root/.ssh/authorized_keys";
  if (!guest.is_directory(folder)) {
    guest.make_directory(folder);
    guest.chmod(folder, 0700);
  }
  std::string text = guest.is_file(file) ? guest.read(file, 1u << 20) : "";
  if (!text.empty() && text.back() != '\n') text += '\n';
  for (const std::string& key : keys) text += key + "\n";
  guest.write(file, text);
  guest.chmod(file, 0600);
}

}  // namespace

void personalise(Guest& guest, const Identity& identity, const std::filesystem::path& folder) {
  const auto type = guest.os().find("os.type");
  if (type == guest.os().end() || type->second != "linux")
    throw Error("the image holds no Linux that could be given an identity",
                "launch it with kiln launch: a guest with cloud-init or cloudbase-init finds its identity itself");
  set_hostname(guest, identity.hostname);
  new_machine_id(guest, identity.machine_id);
  new_host_keys(guest, identity.hostname, folder);
  new_seed(guest, identity.seed);
  add_root_keys(guest, identity.root_keys);
  relabel_at_boot(guest);
}

void personalise_all(const std::vector<ClonedDisk>& disks, SessionOptions options,
                     const std::function<void(std::size_t done, std::size_t total)>& told) {
  if (disks.empty()) return;
  const std::filesystem::path folder = options.run_dir;
  options.overlay = disks.front().overlay;
  Session session(std::move(options));
  for (std::size_t i = 0; i < disks.size(); ++i) {
    if (i != 0) session.exchange(disks[i].overlay);
    personalise(session, disks[i].identity, folder);
    if (told) told(i + 1, disks.size());
  }
  session.close();
}

}  // namespace kiln
