#pragma once
// Fleets, for apply and launch --from-file.

#include <filesystem>

#include "cli/verbs.h"

namespace kiln::cli {

/// Makes the instances that the file describes, and says what it did. Returns the exit code.
int apply_fleet(Call&, const std::filesystem::path& file);

}  // namespace kiln::cli
