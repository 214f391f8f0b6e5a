#pragma once
// A disk image that arrives on the standard input.

#include <cstdint>

#include <kiln/context.h>
#include <kiln/file.h>

#include "origin/digests.h"

namespace kiln::import {

struct Spooled {
  File file;  ///< has no name: it is gone when it is closed
  Digests digests;
};

/// Takes all of it, into a file of the stage's scratch folder; zeros become holes. Throws refused() for a terminal, and
/// for more bytes than the limit.
Spooled spool_stdin(Context&, std::uint64_t limit, bool sha512);

}  // namespace kiln::import
