#pragma once
// The program that does for a guest what must be done also when this process is killed: libexec/kiln/kiln-keeper.

#include <string>
#include <string_view>
#include <vector>

#include <kiln/value.h>

#include "process/spawn.h"

namespace kiln {

/// One that runs, in a session of its own: what kills kiln, or kiln's group, does not reach it.
struct Keeper {
  Fd to;    ///< its standard input, which ends with this process at the latest
  Fd from;  ///< its standard output
};

/// `program`: another of kiln's own that does the same for machines of another kind. Throws Error when kiln is not
/// installed as a whole.
Keeper start_keeper(const std::vector<std::string>& arguments, const std::string& program = "kiln-keeper",
                    const std::vector<std::string>& environment = {});

/// For the program itself: ignores the signals that end what runs in a terminal or a session.
void ignore_ends_of_sessions();

/// Of one of its arguments.
Duration milliseconds(std::string_view text);

}  // namespace kiln
