#pragma once
// The two hosts that the tests of this program share: each takes seconds to start.

#include "support/libvirtd.h"

namespace kiln::test {

/// Has the pool "kiln".
LibvirtHost& first_host();
/// Has none before a kiln needs it.
LibvirtHost& second_host();

}  // namespace kiln::test
