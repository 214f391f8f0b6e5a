#pragma once
// Network settings that belong to one machine: fixed addresses, and names bound to one card's address.

#include "survey.h"

namespace kiln::preflight {

/// StaticNetwork, one for all files: ifupdown, netplan, NetworkManager, systemd-networkd, ifcfg.
Findings look_at_network(const System&);
/// They become DHCP. Each file's original is kept in /var/lib/kiln/saved.
Mended mend_network(const System&);

}  // namespace kiln::preflight
