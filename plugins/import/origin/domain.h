#pragma once
// A machine of libvirt's that is shut off, as a source.

#include <kiln/context.h>
#include <kiln/stage.h>

#include "params.h"

namespace kiln::import {

bool is_from_domain(const Params&);
void check_domain(const Params&, Check&);
/// Its system disk is the disk, what else it has are parts. Throws Error when it runs: that is `capture`'s to take.
void run_domain(Context&, const Params&);

}  // namespace kiln::import
