#include "text.h"

#include <algorithm>
#include <sstream>

#include <kiln/text.h>

namespace kiln::preflight {

std::optional<std::string> text_of(Guest& g, const std::string& path) {
  if (!g.is_file(path)) return std::nullopt;
  try {
    return g.read(path, 1u << 20);
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    return std::nullopt;
  }
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out.emplace_back(text.substr(0, end));
    if (out.back().ends_with('\r')) out.back().pop_back();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string text_from(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  std::istringstream in{std::string(line)};
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string at_line(const std::string& path, std::size_t line, std::string_view text) {
  return printable(path, 200) + ':' + std::to_string(line) + ": " + printable(trimmed(text), 200);
}

std::vector<std::string> glob_all(Guest& g, const std::vector<const char*>& patterns) {
  std::vector<std::string> out;
  for (const char* pattern : patterns)
    for (std::string& path : g.glob(pattern)) out.push_back(std::move(path));
  return out;
}

}  // namespace kiln::preflight
