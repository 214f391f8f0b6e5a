#pragma once
// From argv to a verb and its arguments. The only header that the code behind CLI11 shows: its template-heavy header
// is compiled once, in parse.cpp.

#include <optional>
#include <string>
#include <vector>

#include "cli/verbs.h"

namespace kiln::cli {

/// Either a verb to run or a text (help, version) to print.
struct Parsed {
  const Verb* verb = nullptr;
  Args args;
  std::string text = {};  ///< when there is no verb
  int exit_code = 0;      ///< of the text: 2 when nothing was asked for
};

/// Throws invalid() with the nearest name for what it does not know, and with the usage line for what is missing.
Parsed parse_command_line(const std::vector<std::string>& words, const std::vector<Verb>&);

}  // namespace kiln::cli
