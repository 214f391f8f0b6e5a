#pragma once
// Whether there is a system on the disk at all: partitions, a root file system, nothing encrypted.

#include "survey.h"

namespace kiln::preflight {

/// PartitionNotPresent, RootPartitionNotFound, Encrypted. Starts the appliance; `os` becomes what was found there,
/// empty when none was. Its file systems are mounted.
Findings look_at_disk(Guest&, Facts& os, bool read_only);

}  // namespace kiln::preflight
