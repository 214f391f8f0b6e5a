#pragma once
// The drivers for the machine's devices: virtio in every installed kernel, and in the initramfs that it starts from.

#include "survey.h"

namespace kiln::preflight {

/// VirtioNotInstall, for each kernel; and when there is no kernel at all, BootLoaderMissing.
Findings look_at_kernels(const System&);
/// initramfs-tools and dracut are told to include the drivers, and make every initramfs anew.
Mended mend_kernels(const System&);

}  // namespace kiln::preflight
