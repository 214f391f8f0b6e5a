#pragma once
// What can be said of customize's parameters without the disk.

#include <kiln/stage.h>

#include "params.h"

namespace kiln::customize {

void check_params(const Params&, Check&);

}  // namespace kiln::customize
