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

/// Mounts them. "/" must succeed; another one that cannot be mounted (a network share, a disk that is not here) is
/// told to `log` and left out.
void mount_root(const Appliance&, const Root&, const std::function<void(std::string_view)>& log);

}  // namespace kiln
