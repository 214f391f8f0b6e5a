#include <kiln/guest.h>

#include <sstream>
#include <utility>

namespace kiln {

void set_hostname(Guest& guest, const std::string& name) {
  guest.remove("/etc/hostname");  // a file of its own, even when a link to somewhere else was there
  guest.write("/etc/hostname", name + "\n");
  guest.chmod("/etc/hostname", 0644);
  if (!guest.is_file("/etc/hosts")) return;
  // Debian gives the machine's own name the address 127.0.1.1.
  const std::string first = name.substr(0, name.find('.'));
  const std::string entry = "127.0.1.1\t" + name + (first == name ? std::string() : "\t" + first) + "\n";
  std::istringstream in(guest.read("/etc/hosts", 1u << 20));
  std::string hosts;
  bool found = false;
  for (std::string line; std::getline(in, line);) {
    const bool own = line.starts_with("127.0.1.1") && line.find_first_of(" \t") == 9;
    if (!own) hosts += line + "\n";
    if (own && !std::exchange(found, true)) hosts += entry;
  }
  if (found) guest.write("/etc/hosts", hosts);
}

void relabel_at_boot(Guest& guest) {
  if (!guest.is_file("/etc/selinux/config")) return;
  if (guest.read("/etc/selinux/config", 1u << 20).find("\nSELINUX=disabled") == std::string::npos)
    guest.write("/.autorelabel", "");
}

}  // namespace kiln
