#include "cli/errors.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace kiln::cli {

std::string render(const Error& error, const Style& style) {
  std::string text = fmt::format("{}error:{} {}\n", style.red, style.reset, printable(error.what()));
  for (const std::string& line : error.evidence()) text += fmt::format("     | {}\n", printable(line));
  if (!error.hint().empty()) text += fmt::format("{}help:{} {}\n", style.cyan, style.reset, printable(error.hint()));
  return text;
}

Json error_json(const Error& error) {
  return {{"error",
           {{"what", error.what()},
            {"evidence", error.evidence()},
            {"help", error.hint()},
            {"exit", static_cast<int>(error.failure())}}}};
}

void print_error(const Error& error) {
  std::fputs(render(error, Style(terminal_of(STDERR_FILENO).live)).c_str(), stderr);
}

void print_warning(std::string_view text) {
  const Style style(terminal_of(STDERR_FILENO).live);
  std::fputs(fmt::format("{}warning:{} {}\n", style.yellow, style.reset, printable(text)).c_str(), stderr);
}

}  // namespace kiln::cli
