#include "command_line.h"

#include <algorithm>

#include "devices.h"
#include "text.h"

namespace kiln::preflight {
namespace {

constexpr std::string_view option = "root=/dev/";

/// grub.cfg is made of /etc/default/grub, by the guest, whenever a kernel is installed: both are told.
std::vector<std::string> files_of(Guest& g) {
  return glob_all(
      g, {"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/loader/entries/*.conf", "/boot/extlinux/extlinux.conf",
          "/boot/extlinux.conf", "/etc/default/grub", "/etc/kernel/cmdline"});
}

/// The kernel itself knows no UUID of a file system: its initramfs does.
bool has_initramfs(Guest& g) {
  return !glob_all(g, {"/boot/initrd*", "/boot/initramfs*", "/usr/lib/modules/*/initrd"}).empty();
}

/// Where in the line the value of root= begins, and how long it is. Nothing: none that names a device.
struct Place {
  std::size_t at = 0, length = 0;
};

Place root_in(const std::string& line) {
  if (trimmed(line).starts_with('#')) return {};
  for (std::size_t at = line.find(option); at != std::string::npos; at = line.find(option, at + 1)) {
    if (at > 0 && line[at - 1] != ' ' && line[at - 1] != '\t' && line[at - 1] != '"' && line[at - 1] != '=') continue;
    const std::size_t begin = at + 5;
    return {begin, std::min(line.find_first_of(" \t\"'", begin), line.size()) - begin};
  }
  return {};
}

/// Calls `work` with each line whose root= is an unstable name of a volume of this disk.
template <class Work>
void for_each_unstable(const std::vector<Volume>& volumes, const std::vector<std::string>& lines, Work work) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Place place = root_in(lines[i]);
    if (place.length == 0) continue;
    const Named named = find_named(lines[i].substr(place.at, place.length), volumes);
    if (named.unstable) work(i, place, named.volume);
  }
}

}  // namespace

Findings look_at_command_lines(const System& system) {
  Guest& g = system.guest;
  const std::vector<Volume> volumes = volumes_of(g);
  Finding out{.code = std::string(code::fstab_unstable),
              .severity = Severity::warning,
              .what = "the kernel is told its root file system by a name that changes with the machine",
              .hint = "tell it root=UUID=…, as blkid tells",
              .mendable = has_initramfs(g)};
  for (const std::string& path : files_of(g)) {
    const std::vector<std::string> lines = lines_of(text_of(g, path).value_or(""));
    for_each_unstable(volumes, lines, [&](std::size_t i, const Place&, const Volume* volume) {
      out.evidence.push_back(at_line(path, i + 1, lines[i]));
      if (volume == nullptr || volume->uuid.empty()) out.mendable = false;
    });
  }
  if (out.evidence.empty()) return {};
  shorten(out.evidence);
  return {out};
}

Findings mend_command_lines(const System& system) {
  Guest& g = system.guest;
  if (!has_initramfs(g)) return {};
  const std::vector<Volume> volumes = volumes_of(g);
  Finding done{.code = std::string(code::fstab_unstable),
               .what = "mended: the kernel is told its root file system by its UUID"};
  for (const std::string& path : files_of(g)) {
    const std::vector<std::string> before = lines_of(text_of(g, path).value_or(""));
    std::vector<std::string> lines = before;
    for_each_unstable(volumes, before, [&](std::size_t i, const Place& place, const Volume* volume) {
      if (volume == nullptr || volume->uuid.empty()) return;
      lines[i].replace(place.at, place.length, "UUID=" + volume->uuid);
      done.evidence.push_back(at_line(path, i + 1, lines[i]));
    });
    if (lines != before) g.write(path, text_from(lines));
  }
  if (done.evidence.empty()) return {};
  shorten(done.evidence);
  return {done};
}

}  // namespace kiln::preflight
