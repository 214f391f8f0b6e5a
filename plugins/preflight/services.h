#pragma once
// Services of clouds and of hypervisors.

#include "survey.h"

namespace kiln::preflight {

/// CloudInitNotInstalled: it is missing, or switched off.
Findings look_at_cloud_init(const System&);
/// Switches it on, where that is all.
Mended mend_cloud_init(const System&);

/// VendorGuestTools: one for each hypervisor's tools.
Findings look_at_guest_tools(const System&);

}  // namespace kiln::preflight
