#pragma once
// What /etc/fstab mounts: shares and disks that are elsewhere, and names that change with the machine.

#include "survey.h"

namespace kiln::preflight {

/// FstabForeignMount, FstabUnstableName.
Findings look_at_fstab(const System&);
/// Names that change become UUID=….
Mended mend_fstab(const System&);

}  // namespace kiln::preflight
