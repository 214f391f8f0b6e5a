#pragma once
// What starts the system, on a machine that knows nothing of it.

#include "survey.h"

namespace kiln::preflight {

/// UefiFallbackMissing: firmware without a boot entry looks for \EFI\BOOT\BOOTX64.EFI only (UEFI 2.10, 3.5.1.1).
/// BootLoaderMissing: neither that nor what a BIOS starts was found.
Findings look_at_boot(const System&);
/// Copies the installed boot loader there.
Mended mend_boot(const System&);

}  // namespace kiln::preflight
