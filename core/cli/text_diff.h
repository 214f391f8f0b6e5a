#pragma once
// Two texts as a unified diff, for people to read.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::cli {

/// The lines of "--- a", "+++ b" and the hunks with three lines of context, without line ends; nothing when the texts
/// are equal. Every line is printable(). Parts of more than 2000 lines that differ are shown as removed and added as a
/// whole, so that no text costs more than some milliseconds. Ends with a line that says so after `most` lines.
std::vector<std::string> unified_diff(const std::string& name_a, const std::string& name_b, std::string_view a,
                                      std::string_view b, std::size_t most);

}  // namespace kiln::cli
