#pragma once
// Strings that come from a guest, made fit for people.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// The text with control characters, DEL and broken or invisible UTF-8 written as \x1b and the like, cut to `limit`
/// bytes of the result (then it ends in "…"). What a guest says is bytes: it must not move the terminal's cursor,
/// forge a line of the log, or fill a record.
std::string printable(std::string_view text, std::size_t limit = 512);

/// The last `count` lines that are not empty, each printable() and cut to 512 bytes.
std::vector<std::string> last_lines(std::string_view text, std::size_t count = 20);

}  // namespace kiln
