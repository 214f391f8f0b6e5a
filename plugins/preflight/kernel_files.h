#pragma once
// The kernels that are installed, with their modules and the initramfs of each, however the distribution names them.

#include <string>
#include <vector>

#include <kiln/guest.h>

namespace kiln::preflight {

struct Kernel {
  std::string version;                  ///< "6.1.0-13-amd64"; what its image is called, when it has no modules
  std::vector<std::string> names;       ///< what its files may be called after: "6.9.1-arch1-1", "linux"
  std::string folder;                   ///< of its modules, which may be missing
  std::string initramfs = {};           ///< empty: none is called after it
  std::vector<std::string> maybe = {};  ///< then: those that are called after no kernel, and may be its
};

/// The first 8, because each costs a look into its initramfs. No rescue systems.
std::vector<Kernel> kernels_of(Guest&);

}  // namespace kiln::preflight
