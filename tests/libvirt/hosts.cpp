#include "libvirt/hosts.h"

namespace kiln::test {

LibvirtHost& first_host() {
  static LibvirtHost host;
  static const bool made = (host.define_pool(), true);
  (void)made;
  return host;
}

LibvirtHost& second_host() {
  static LibvirtHost host;
  return host;
}

}  // namespace kiln::test
