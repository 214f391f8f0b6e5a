#pragma once
// The host's ports that lead into machines.

#include <cstddef>
#include <vector>

#include "machine/instances.h"

namespace kiln {

/// The ports of each of `count` new machines: the host's count on from those that are wanted, and a 0 becomes one that
/// is free. Throws when one of them is no port, is given twice, or is used: by one of the other instances, which is
/// named, or by anything else on this host.
std::vector<std::vector<PortForward>> choose_ports(const std::vector<PortForward>& wanted, std::size_t count,
                                                   const std::vector<Instance>& others);

/// The same of the ports that a machine has already.
void check_ports(const std::vector<PortForward>&, const std::vector<Instance>& others);

}  // namespace kiln
