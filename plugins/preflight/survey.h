#pragma once
// What a check is: it looks at the system on a disk, through the appliance, and perhaps mends what it found.

#include <stop_token>
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
  std::string root = {};        ///< the device of its root file system: "/dev/sda1"
  bool several_disks = false;   ///< the machine has further disks, which the appliance does not see
  bool read_only = false;       ///< nothing is mended, so nothing is mounted in a way that changes the disk
  std::stop_token stop = {};
};

/// What came of mending, in notes.
struct Mended {
  Findings done = {};         ///< what was mended
  Findings not_done = {};     ///< what was left as it was, and why
  bool writes_labels = true;  ///< what was written would have SELinux labels: not on an EFI system partition
};

/// `look`: one finding for each thing that is wrong; its severity is what it is without a profile, a note or a warning.
/// `mend`: mends what is mendable of it. It is called when something is; null: nothing ever is. Both throw what the
/// appliance throws; a system that `mend` threw out of may be half mended.
struct Survey {
  std::string name;  ///< a few words, for the progress
  Findings (*look)(const System&);
  Mended (*mend)(const System&) = nullptr;
};

}  // namespace kiln::preflight
