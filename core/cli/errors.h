#pragma once
// How a failure looks: `error: one fact`, its evidence, what to do. The same three as JSON.

#include <string>
#include <vector>

#include <kiln/finding.h>

#include "cli/output.h"

namespace kiln::cli {

/// Several lines, each ended by a newline. Nothing in it can move a terminal's cursor.
std::string render(const Error&, const Style&);
/// {"error": {"what", "code", "evidence": […], "help", "exit"}}
Json error_json(const Error&);

/// As an error looks, with what its code means, and without a newline at its end.
std::string render(const Finding&, const Style&);
/// {"code", "severity", "what", "evidence": […], "meaning", "help", "mendable"}
Json finding_json(const Finding&);

/// Warnings and errors that are not part of a run go through here, to standard error.
void print_error(const Error&);
void print_warning(std::string_view text);

}  // namespace kiln::cli
