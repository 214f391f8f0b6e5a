#pragma once
// Strings that come from a guest, made fit for people, and strings made fit for QEMU.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// A value as it stands in an option of QEMU's, where a comma ends one and a doubled comma is one.
std::string option_value(std::string text);

/// The last `count` lines that are not empty, each printable() and cut to 512 bytes.
std::vector<std::string> last_lines(std::string_view text, std::size_t count = 20);

}  // namespace kiln
