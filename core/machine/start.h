#pragma once
// What an instance needs before it is started again.

#include "machine/instances.h"

namespace kiln {

/// Throws Error when the record or the files of one that is stopped do not allow it: the disk of its image is gone, its
/// own is half restored.
void require_startable(const Instance&);

}  // namespace kiln
