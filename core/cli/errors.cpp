#include "cli/errors.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/meanings.h"

namespace kiln::cli {

namespace {

std::string details(const std::vector<std::string>& evidence, const std::string& hint, const Style& style) {
  std::string text;
  for (const std::string& line : evidence) text += fmt::format("\n     | {}", printable(line));
  if (!hint.empty()) text += fmt::format("\n{}help:{} {}", style.cyan, style.reset, printable(hint));
  return text;
}

std::string named(const std::string& code) {
  return code.empty() ? "" : " [" + code + "]";
}

}  // namespace

std::string render(const Error& error, const Style& style) {
  return fmt::format("{}error:{} {}{}", style.red, style.reset, printable(error.what()), named(error.code())) +
         details(error.evidence(), error.hint(), style) + "\n";
}

std::string render(const Finding& finding, const Style& style) {
  const char* color = finding.severity >= Severity::error     ? style.red
                      : finding.severity == Severity::warning ? style.yellow
                                                              : style.dim;
  std::string text = fmt::format("{}{}:{} {}{}", color, name_of(finding.severity), style.reset, printable(finding.what),
                                 named(finding.code)) +
                     details(finding.evidence, "", style);
  const std::string_view meaning = meaning_of(finding.code);
  if (finding.severity != Severity::note && !meaning.empty())
    text += fmt::format("\n{}means:{} {}", style.cyan, style.reset, meaning);
  return text + details({}, finding.hint + (finding.mendable ? " (kiln does it: --fix)" : ""), style);
}

Json finding_json(const Finding& finding) {
  return {{"code", finding.code},         {"severity", name_of(finding.severity)}, {"what", finding.what},
          {"evidence", finding.evidence}, {"meaning", meaning_of(finding.code)},   {"help", finding.hint},
          {"mendable", finding.mendable}};
}

Json error_json(const Error& error) {
  return {{"error",
           {{"what", error.what()},
            {"code", error.code()},
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
