#pragma once
// Where the kernel is told its root file system.

#include "survey.h"

namespace kiln::preflight {

/// FstabUnstableName: root=/dev/sda1 in a boot loader's configuration.
Findings look_at_command_lines(const System&);
/// It becomes root=UUID=…, where an initramfs is there to understand it.
Mended mend_command_lines(const System&);

}  // namespace kiln::preflight
