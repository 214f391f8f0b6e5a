#include "command_line.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "devices.h"
#include "text.h"

namespace kiln::preflight {
namespace {

constexpr std::string_view option = "root=/dev/";

/// grub.cfg is made of /etc/default/grub, by the guest, whenever a kernel is installed: both are told.
std::vector<std::string> files_of(Guest& g) {
  return glob_all(g,
                  {"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/grubenv", "/boot/grub2/grubenv",
                   "/boot/efi/EFI/*/grub.cfg", "/boot/efi/EFI/*/grubenv", "/boot/loader/entries/*.conf",
                   "/boot/extlinux/extlinux.conf", "/boot/extlinux.conf", "/etc/default/grub", "/etc/kernel/cmdline"});
}

/// The kernel itself knows no UUID of a file system: its initramfs does.
bool has_initramfs(Guest& g) {
  return !glob_all(g, {"/boot/initrd*", "/boot/initramfs*", "/boot/*/*/initrd", "/usr/lib/modules/*/initrd"}).empty();
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

/// Calls `work` with each line whose root= is an unstable name. It is taken for a name of this disk's root file system
/// only when that is where it leads, and when no other disk is named in the file.
template <class Work>
void for_each_unstable(const System& system, const std::vector<Volume>& volumes, const std::vector<std::string>& lines,
                       Work work) {
  std::set<std::string> disks;
  for (const std::string& line : lines)
    if (const Place place = root_in(line); place.length > 0) disks.insert(disk_of(line.substr(place.at, place.length)));
  disks.erase("");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Place place = root_in(lines[i]);
    if (place.length == 0) continue;
    Named named = find_named(lines[i].substr(place.at, place.length), volumes);
    if (named.volume != nullptr && (disks.size() != 1 || !named.volume->holds(system.root))) named.volume = nullptr;
    if (named.unstable) work(i, place, named);
  }
}

/// GRUB's environment has 1024 bytes, whatever is in it (GRUB, include/grub/lib/envblk.h). Nothing: they do not
/// suffice.
std::optional<std::string> content_of(const std::string& path, std::vector<std::string> lines) {
  if (!path.ends_with("/grubenv")) return text_from(lines);
  constexpr std::size_t size = 1024;
  if (!lines.empty() && lines.back().find_first_not_of('#') == std::string::npos) lines.pop_back();
  std::string text = text_from(lines);
  if (text.size() > size) return std::nullopt;
  text.resize(size, '#');
  return text;
}

}  // namespace

Findings look_at_command_lines(const System& system) {
  Guest& g = system.guest;
  const std::vector<Volume> volumes = volumes_of(g);
  Finding out{.code = std::string(code::fstab_unstable),
              .severity = Severity::warning,
              .what = "the kernel is told its root file system by a name that changes with the machine",
              .hint = "tell it root=UUID=…, as blkid tells"};
  const bool initramfs = has_initramfs(g);
  for (const std::string& path : files_of(g)) {
    const std::vector<std::string> lines = lines_of(text_of(g, path).value_or(""));
    for_each_unstable(system, volumes, lines, [&](std::size_t i, const Place&, const Named& named) {
      out.evidence.push_back(at_line(path, i + 1, lines[i]));
      out.mendable = out.mendable || (initramfs && named.mendable());
    });
  }
  if (out.evidence.empty()) return {};
  shorten(out.evidence);
  return {out};
}

Mended mend_command_lines(const System& system) {
  Guest& g = system.guest;
  const std::vector<Volume> volumes = volumes_of(g);
  Finding done{.code = std::string(code::fstab_unstable),
               .what = "mended: the kernel is told its root file system by its UUID"};
  for (const std::string& path : files_of(g)) {
    const std::vector<std::string> before = lines_of(text_of(g, path).value_or(""));
    std::vector<std::string> lines = before, evidence;
    for_each_unstable(system, volumes, before, [&](std::size_t i, const Place& place, const Named& named) {
      if (!named.mendable()) return;
      lines[i].replace(place.at, place.length, "UUID=" + named.volume->uuid);
      evidence.push_back(at_line(path, i + 1, lines[i]));
    });
    const std::optional<std::string> content = content_of(path, lines);
    if (lines == before || !content) continue;
    g.write(path, *content);
    std::ranges::move(evidence, std::back_inserter(done.evidence));
  }
  if (done.evidence.empty()) return {};
  shorten(done.evidence);
  return {.done = {done}};
}

}  // namespace kiln::preflight
