#include "fstab.h"

#include <algorithm>
#include <array>
#include <set>

#include "devices.h"
#include "text.h"

namespace kiln::preflight {
namespace {

constexpr const char* fstab = "/etc/fstab";

/// One line that mounts something (fstab(5)).
struct Mount {
  std::size_t line = 0;  ///< from 0
  std::string text, name, point, type, options;
  Named named = {};

  bool has(std::string_view option) const {
    return ("," + options + ",").find("," + std::string(option) + ",") != std::string::npos;
  }
  /// The guest starts also without it.
  bool may_fail() const { return has("noauto") || has("nofail"); }
};

/// Which of a machine's disks "sda" was can be said only when it is the only one that is named so, and when it fits: it
/// has the root file system where the file says so, and of several disks no other can be known.
bool names_one_disk(const std::vector<Mount>& mounts, const System& system) {
  std::set<std::string> disks;
  bool root_fits = !system.several_disks;
  for (const Mount& m : mounts) {
    const std::string disk = disk_of(m.name);
    if (disk.empty()) continue;
    disks.insert(disk);
    if (m.point == "/") root_fits = m.named.volume != nullptr && m.named.volume->holds(system.root);
  }
  return root_fits && disks.size() == 1;
}

/// One file system has two names, so one of them is another disk's. Btrfs is mounted in several places.
bool is_taken(const Mount& mount, const std::vector<Mount>& all) {
  return mount.named.volume->type != "btrfs" && std::ranges::any_of(all, [&](const Mount& other) {
           return other.named.volume == mount.named.volume && other.name != mount.name;
         });
}

/// The file system is of another type than the line says, so it is another one. ext2, ext3 and ext4 are one family.
bool is_mistaken(const Mount& mount) {
  const std::string& found = mount.named.volume->type;
  return mount.type != "auto" && mount.type != found && !(mount.type.starts_with("ext") && found.starts_with("ext"));
}

std::vector<Mount> mounts_in(const std::vector<std::string>& lines, const std::vector<Volume>& volumes,
                             const System& system) {
  std::vector<Mount> out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::vector<std::string> words = words_of(lines[i]);
    if (words.size() < 3 || words[0].starts_with('#')) continue;
    out.push_back({i, lines[i], words[0], words[1], words[2], words.size() > 3 ? words[3] : "defaults",
                   find_named(words[0], volumes)});
  }
  const bool one = names_one_disk(out, system);
  const std::vector<Mount> all = out;
  for (Mount& m : out)
    if (m.named.unstable && m.named.volume != nullptr && (!one || is_taken(m, all) || is_mistaken(m)))
      m.named = {.device = true, .unstable = true, .told = false};
  return out;
}

bool is_remote(const Mount& m) {
  static constexpr std::array<std::string_view, 17> types{
      "nfs",    "nfs4",  "cifs", "smb3", "smbfs",    "sshfs",  "fuse.sshfs", "glusterfs",       "ceph",
      "lustre", "davfs", "afs",  "9p",   "virtiofs", "vboxsf", "vmhgfs",     "fuse.vmhgfs-fuse"};
  return std::ranges::find(types, m.type) != types.end() || m.name.starts_with("//") || m.has("_netdev");
}

std::vector<std::string> read_lines(Guest& g) {
  return lines_of(text_of(g, fstab).value_or(""));
}

}  // namespace

Findings look_at_fstab(const System& system) {
  const std::vector<Volume> volumes = volumes_of(system.guest);
  const std::vector<Mount> mounts = mounts_in(read_lines(system.guest), volumes, system);
  Finding foreign{.code = std::string(code::fstab_foreign),
                  .severity = Severity::warning,
                  .what = "fstab mounts what is not on this disk",
                  .hint = "give these lines the option nofail, or remove them"};
  Finding unstable{.code = std::string(code::fstab_unstable),
                   .severity = Severity::warning,
                   .what = "fstab names disks in a way that changes with the machine",
                   .hint = "name them as UUID=…, as blkid tells"};
  if (system.several_disks) foreign.hint += "; what is on another disk of this machine may stay";
  for (const Mount& m : mounts) {
    const std::string evidence = at_line(fstab, m.line + 1, m.text);
    const bool absent = m.named.device && m.named.told && m.named.volume == nullptr;
    if ((is_remote(m) || absent) && !m.may_fail()) foreign.evidence.push_back(evidence);
    if (m.named.unstable && !absent && !m.has("noauto")) {
      unstable.evidence.push_back(evidence);
      unstable.mendable = unstable.mendable || m.named.mendable();
    }
  }
  Findings out;
  for (Finding& finding : std::array{foreign, unstable}) {
    shorten(finding.evidence);
    if (!finding.evidence.empty()) out.push_back(std::move(finding));
  }
  return out;
}

Mended mend_fstab(const System& system) {
  std::vector<std::string> lines = read_lines(system.guest);
  const std::vector<Volume> volumes = volumes_of(system.guest);
  Finding done{.code = std::string(code::fstab_unstable), .what = "mended: fstab names disks by their UUID"};
  for (const Mount& m : mounts_in(lines, volumes, system)) {
    if (!m.named.mendable() || m.has("noauto")) continue;
    std::string& line = lines[m.line];
    line.replace(line.find(m.name), m.name.size(), "UUID=" + m.named.volume->uuid);
    done.evidence.push_back(at_line(fstab, m.line + 1, line));
  }
  if (done.evidence.empty()) return {};
  shorten(done.evidence);
  system.guest.write(fstab, text_from(lines));
  return {.done = {done}};
}

}  // namespace kiln::preflight
