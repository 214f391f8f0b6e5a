#pragma once
// What a check is: it looks at the system on a disk, through the appliance, and perhaps mends what it found.

#include <string>
#include <vector>

#include <kiln/finding.h>
#include <kiln/guest.h>

namespace kiln::preflight {

using Findings = std::vector<Finding>;

/// The system that is looked at. Its file systems are mounted.
struct System {
  Guest& guest;
  std::string arch = "x86_64";  ///< "aarch64", …: as inspection calls it
  bool several_disks = false;   ///< the machine has further disks, which the appliance does not see
};

/// `look`: one finding for each thing that is wrong; its severity is what it is without a profile, a note or a warning.
/// `mend`: mends what is mendable, and returns a note for each thing done. Null: this check mends nothing. Both throw
/// what the appliance throws.
struct Survey {
  std::string name;  ///< a few words, for the progress
  Findings (*look)(const System&);
  Findings (*mend)(const System&) = nullptr;
};

/// The boot loader and the kernel. Not of <kiln/finding.h>, because no container can have it.
inline constexpr std::string_view no_boot_loader = "BootLoaderMissing";

}  // namespace kiln::preflight
