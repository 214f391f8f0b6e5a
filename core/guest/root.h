#pragma once
// Which operating system a disk holds, and where its file systems belong.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <kiln/guest.h>

#include "guest/appliance.h"

namespace kiln {

/// What inspection found. The strings of `facts` came from the guest and are printable().
struct Root {
  Facts facts;
  /// {mount point, device}, parents before children.
  std::vector<std::pair<std::string, std::string>> mounts;
};

/// Nothing when there is no operating system. Two of them are refused: choosing one would be a guess. Ends with
/// nothing mounted.
std::optional<Root> find_root(const Appliance&);

/// The same of one of several disks, "/dev/sda" for example. Disks that are copies of each other have file systems with
/// the same names, and the inspection may take one for the other: what is of another disk is looked for on this one,
/// and left out when it is not there. Two systems on the disk are refused.
std::optional<Root> find_root_on(const Appliance&, const std::string& disk);

/// Mounts them. "/" must succeed; another one that cannot be mounted (a network share, a disk that is not here) is
/// told to `log` and left out.
/// `read_only`: as the file system's own option; what is below must still be writable, for a journal.
void mount_root(const Appliance&, const Root&, const std::function<void(std::string_view)>& log,
                bool read_only = false);

}  // namespace kiln
