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
};

std::vector<Volume> volumes_of(Guest&);

/// What a name in /etc/fstab or on a kernel's command line leads to.
struct Named {
  bool device = false;             ///< it is a device's name at all: no share, no pseudo file system, no file
  bool unstable = false;           ///< it depends on how the disk is attached: /dev/sda1, /dev/disk/by-path/…
  bool told = true;                ///< false: whether the disk has it cannot be said
  const Volume* volume = nullptr;  ///< of the disk; null: not on it
};

Named find_named(std::string_view name, const std::vector<Volume>&);

}  // namespace kiln::preflight
