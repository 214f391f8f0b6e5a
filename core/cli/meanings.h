#pragma once
// What a finding's code means, for whoever meets it for the first time.

#include <string_view>

namespace kiln::cli {

/// One sentence without a full stop; empty for a code that kiln does not know, such as one of another plugin's.
std::string_view meaning_of(std::string_view code);

}  // namespace kiln::cli
