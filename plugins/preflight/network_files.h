#pragma once
// The files that say how a Linux system is reached, each kind in its own grammar. Nothing here touches a guest.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::preflight {

using Lines = std::vector<std::string>;

/// One kind of file. `marks`: the lines, from 0, that bind the system to one machine. `mend`: makes it ask DHCP; false
/// when that cannot be done by changing lines.
struct NetworkFiles {
  std::vector<const char*> patterns;
  std::vector<std::size_t> (*marks)(const Lines&);
  bool (*mend)(Lines&);
};

const std::vector<NetworkFiles>& network_files();

/// Whether an interface of this name is a card of the machine, which another machine has, too: not "lo", "wg0", "br0",
/// "eth0.7", nor "eth0:1", a further address of a card.
bool is_card(std::string_view name);

}  // namespace kiln::preflight
