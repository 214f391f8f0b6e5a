#include "devices.h"

#include <algorithm>
#include <array>

#include "text.h"

namespace kiln::preflight {
namespace {

std::string ask(Guest& g, const char* what, const std::string& device) {
  try {
    return std::string(trimmed(g.call({what, device})));
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    return {};  // blkid knows nothing of it
  }
}

bool digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// The partition's number of the first disk: "1" of "sda1", "" of "sda". Nothing: it is another disk's.
std::optional<std::string> number_on_first(std::string_view name) {
  for (const std::string_view first : {"sda", "vda", "xvda", "hda", "nvme0n1p", "mmcblk0p"})
    if (name.starts_with(first) && digits(name.substr(first.size()))) return std::string(name.substr(first.size()));
  for (const std::string_view whole : {"sda", "vda", "xvda", "hda", "nvme0n1", "mmcblk0"})
    if (name == whole) return "";
  return std::nullopt;
}

/// Kernel names of disks, numbered in the order in which they are found.
bool is_kernel_name(std::string_view name) {
  for (const std::string_view start : {"sd", "vd", "hd", "xvd"})
    if (name.starts_with(start) && name.size() > start.size() && name[start.size()] >= 'a' && name[start.size()] <= 'z')
      return name.substr(start.size()).find_first_of("/-_") == std::string_view::npos;
  return name.starts_with("nvme") || name.starts_with("mmcblk");
}

/// "vg-root" is "/dev/vg/root"; a "-" within a name is written twice (dmsetup(8), mangling of LVM).
std::string of_mapper(std::string_view name) {
  std::string out = "/dev/";
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool twice = name[i] == '-' && i + 1 < name.size() && name[i + 1] == '-';
    out += name[i] == '-' && !twice ? '/' : name[i];
    if (twice) ++i;
  }
  return out;
}

const Volume* by_device(const std::vector<Volume>& all, const std::string& device) {
  const auto it = std::ranges::find(all, device, &Volume::device);
  return it == all.end() ? nullptr : &*it;
}

Named by_kernel_name(std::string_view name, const std::vector<Volume>& all) {
  Named out{.device = true, .unstable = true};
  if (const auto number = number_on_first(name)) out.volume = by_device(all, "/dev/sda" + *number);
  return out;
}

/// "pci-0000:00:10.0-scsi-0:0:0:0-part1", "ata-QEMU_HARDDISK_QM1-part1": nobody knows which disk that was. Volumes of
/// LVM and arrays keep theirs: "dm-uuid-LVM-…" (udev, 13-dm-disk.rules, 63-md-raid-arrays.rules).
Named by_attachment(std::string_view name) {
  const bool stays = name.starts_with("dm-") || name.starts_with("lvm-") || name.starts_with("md-");
  return {.device = true, .unstable = !stays, .told = false};
}

template <class Same>
Named by_tag(const std::vector<Volume>& all, Same same) {
  Named out{.device = true};
  if (const auto it = std::ranges::find_if(all, same); it != all.end()) out.volume = &*it;
  return out;
}

Named by_mapping(const std::string& device, const std::vector<Volume>& all) {
  Named out{.device = true, .volume = by_device(all, device)};
  // What an encrypted volume holds, and what it is called, is known once it is open.
  out.told = std::ranges::none_of(all, [](const Volume& v) { return v.type == "crypto_LUKS"; });
  return out;
}

}  // namespace

std::vector<Volume> volumes_of(Guest& g) {
  std::vector<Volume> out;
  for (const std::string& pair : g.filesystems()) {
    const std::vector<std::string> words = words_of(pair);
    if (words.size() != 2 || words[0].starts_with("btrfsvol:")) continue;
    out.push_back({words[0], words[1], ask(g, "vfs-uuid", words[0]), ask(g, "vfs-label", words[0])});
  }
  return out;
}

void mount_system(Guest& g, bool read_only) {
  g.call({"umount-all"});
  read_only ? g.call({"mount-os", "read-only"}) : g.call({"mount-os"});
}

std::string disk_of(std::string_view name) {
  if (!name.starts_with("/dev/")) return {};
  name.remove_prefix(5);
  if (!is_kernel_name(name)) return {};
  const std::size_t end = name.find_last_not_of("0123456789") + 1;
  const bool numbered = name.starts_with("nvme") || name.starts_with("mmcblk");  // "nvme0n1", and with "p1" behind
  if (!numbered) return std::string(name.substr(0, end));
  return std::string(end > 1 && name[end - 1] == 'p' ? name.substr(0, end - 1) : name);
}

Named find_named(std::string_view name, const std::vector<Volume>& all) {
  const auto after = [&](std::string_view start) -> std::optional<std::string> {
    if (!name.starts_with(start)) return std::nullopt;
    std::string rest(name.substr(start.size()));
    std::erase(rest, '"');
    return rest;
  };
  for (const char* start : {"UUID=", "/dev/disk/by-uuid/"})
    if (const auto uuid = after(start))
      return by_tag(all, [&](const Volume& v) { return lower(v.uuid) == lower(*uuid); });
  for (const char* start : {"LABEL=", "/dev/disk/by-label/"})
    if (const auto label = after(start)) return by_tag(all, [&](const Volume& v) { return v.label == *label; });
  for (const char* start : {"PARTUUID=", "PARTLABEL=", "/dev/disk/by-part", "/dev/md", "/dev/zvol"})
    if (after(start)) return {.device = true, .told = false};
  for (const char* start : {"/dev/disk/by-path/", "/dev/disk/by-id/"})
    if (const auto path = after(start)) return by_attachment(*path);
  if (const auto mapping = after("/dev/mapper/")) return by_mapping(of_mapper(*mapping), all);
  const auto rest = after("/dev/");
  if (!rest) return {};
  if (is_kernel_name(*rest)) return by_kernel_name(*rest, all);
  if (rest->find('/') != std::string::npos) return by_mapping(std::string(name), all);
  return {};  // /dev/sr0, /dev/fd0, /dev/loop0
}

}  // namespace kiln::preflight
