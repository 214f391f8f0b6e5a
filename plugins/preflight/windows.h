#pragma once
// What can be said of a Windows system from its files. kiln mends nothing in it.

#include "survey.h"

namespace kiln::preflight {

/// VirtioNotInstall, CloudInitNotInstalled (Cloudbase-Init), VendorGuestTools.
Findings look_at_windows(const System&);

}  // namespace kiln::preflight
