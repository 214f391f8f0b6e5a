#pragma once
// Strings that come from a guest, made fit for people.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// The last `count` lines that are not empty, each printable() and cut to 512 bytes.
std::vector<std::string> last_lines(std::string_view text, std::size_t count = 20);

}  // namespace kiln
