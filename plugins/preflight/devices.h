#pragma once
// The file systems of the disk, and what other machines call them.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/guest.h>

namespace kiln::preflight {

/// One file system or swap space, as blkid(8) sees it.
struct Volume {
  std::string device;  ///< the appliance's name: "/dev/sda1", "/dev/vg/root"
  std::string type;    ///< "ext4", "swap", "crypto_LUKS"
  std::string uuid, label;

  /// Whether an inspection's root is on it: "/dev/sda1", or "btrfsvol:/dev/sda1/@".
  bool holds(std::string_view root) const { return root == device || root.starts_with("btrfsvol:" + device + "/"); }
};

std::vector<Volume> volumes_of(Guest&);

/// The file systems of the operating system that was found, each in its place, and nothing else.
void mount_system(Guest&, bool read_only);

/// What a name in /etc/fstab or on a kernel's command line leads to.
struct Named {
  bool device = false;             ///< it is a device's name at all: no share, no pseudo file system, no file
  bool unstable = false;           ///< it depends on how the disk is attached: /dev/sda1, /dev/disk/by-path/…
  bool told = true;                ///< false: whether the disk has it cannot be said
  const Volume* volume = nullptr;  ///< of the disk; null: not on it

  /// A name that stays the same can be put in its place.
  bool mendable() const { return unstable && volume != nullptr && !volume->uuid.empty(); }
};

/// A kernel's name, such as /dev/sda1, is taken for the only disk's. Whether it is that is for the caller to find out,
/// from what else stands in the same file.
Named find_named(std::string_view name, const std::vector<Volume>&);

/// "sda" for "/dev/sda1", "nvme0n1" for "/dev/nvme0n1p2". Empty: it is no kernel's name.
std::string disk_of(std::string_view name);

}  // namespace kiln::preflight
