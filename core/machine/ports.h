#pragma once
// The host's ports that lead into machines.

#include <cstddef>
#include <vector>

#include "machine/instances.h"

namespace kiln {

/// Where the ports are written: what a refusal proposes is to be done there.
enum class PortsOf {
  options,  ///< --port
  fleet,    ///< a fleet's file
  record,   ///< an instance that is there: it keeps its ports
};

/// Throws invalid() for what no network makes possible: ports that lead into a machine without a card or on a tap
/// device, and several machines on one tap device.
void require_network_for(const Hardware&, const std::vector<PortForward>&, std::size_t count);

/// The ports of each of `count` new machines: the host's count on from those that are wanted, and a 0 becomes one that
/// is free. Throws when one of them is no port, is given twice, or is used: by one of the other instances, which is
/// named, or by anything else on this host.
std::vector<std::vector<PortForward>> choose_ports(const std::vector<PortForward>& wanted, std::size_t count,
                                                   const std::vector<Instance>& others,
                                                   PortsOf written = PortsOf::options);

/// The same of ports that are chosen already.
void check_ports(const std::vector<PortForward>&, const std::vector<Instance>& others, PortsOf written);

}  // namespace kiln
