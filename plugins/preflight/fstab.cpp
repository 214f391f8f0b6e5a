#include "fstab.h"

#include <algorithm>
#include <array>

#include "devices.h"
#include "text.h"

namespace kiln::preflight {
namespace {

constexpr const char* fstab = "/etc/fstab";

/// One line that mounts something (fstab(5)).
struct Mount {
  std::size_t line = 0;  ///< from 0
  std::string text, name, point, type, options;

  bool has(std::string_view option) const {
    return ("," + options + ",").find("," + std::string(option) + ",") != std::string::npos;
  }
  /// The guest starts also without it.
  bool may_fail() const { return has("noauto") || has("nofail"); }
};

std::vector<Mount> mounts_in(const std::vector<std::string>& lines) {
  std::vector<Mount> out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::vector<std::string> words = words_of(lines[i]);
    if (words.size() < 3 || words[0].starts_with('#')) continue;
    out.push_back({i, lines[i], words[0], words[1], words[2], words.size() > 3 ? words[3] : "defaults"});
  }
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
  const std::vector<Mount> mounts = mounts_in(read_lines(system.guest));
  const std::vector<Volume> volumes = volumes_of(system.guest);
  Finding foreign{.code = std::string(code::fstab_foreign),
                  .severity = Severity::warning,
                  .what = "fstab mounts what is not on this disk",
                  .hint = "give these lines the option nofail, or remove them"};
  Finding unstable{.code = std::string(code::fstab_unstable),
                   .severity = Severity::warning,
                   .what = "fstab names disks in a way that changes with the machine",
                   .hint = "name them as UUID=…, as blkid tells",
                   .mendable = true};
  if (system.several_disks) foreign.hint += "; what is on another disk of this machine may stay";
  for (const Mount& m : mounts) {
    const Named named = find_named(m.name, volumes);
    const std::string evidence = at_line(fstab, m.line + 1, m.text);
    const bool absent = named.device && named.told && named.volume == nullptr;
    if ((is_remote(m) || absent) && !m.may_fail()) foreign.evidence.push_back(evidence);
    if (named.unstable && !absent && !m.has("noauto")) {
      unstable.evidence.push_back(evidence);
      if (named.volume->uuid.empty()) unstable.mendable = false;
    }
  }
  Findings out;
  for (Finding& finding : std::array{foreign, unstable}) {
    shorten(finding.evidence);
    if (!finding.evidence.empty()) out.push_back(std::move(finding));
  }
  return out;
}

Findings mend_fstab(const System& system) {
  std::vector<std::string> lines = read_lines(system.guest);
  const std::vector<Volume> volumes = volumes_of(system.guest);
  Finding done{.code = std::string(code::fstab_unstable), .what = "mended: fstab names disks by their UUID"};
  for (const Mount& m : mounts_in(lines)) {
    const Named named = find_named(m.name, volumes);
    if (!named.unstable || named.volume == nullptr || named.volume->uuid.empty() || m.has("noauto")) continue;
    std::string& line = lines[m.line];
    line.replace(line.find(m.name), m.name.size(), "UUID=" + named.volume->uuid);
    done.evidence.push_back(at_line(fstab, m.line + 1, line));
  }
  if (done.evidence.empty()) return {};
  shorten(done.evidence);
  system.guest.write(fstab, text_from(lines));
  return {done};
}

}  // namespace kiln::preflight
