#pragma once
// Text of strangers, made fit for people: file names, what a guest says, lines of somebody's pipeline.

#include <cstddef>
#include <string>
#include <string_view>

#include <kiln/error.h>

namespace kiln {

/// The text with control characters, DEL and broken or invisible UTF-8 written as \n, \t, \x1b and the like, cut to
/// `limit` bytes of the result (then it ends in "…"). It cannot move a terminal's cursor, break a line, forge one of a
/// log, or fill a record.
KILN_API std::string printable(std::string_view text, std::size_t limit = std::string_view::npos);

}  // namespace kiln
