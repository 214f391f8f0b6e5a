#include "text.h"

#include <algorithm>
#include <iterator>
#include <sstream>

#include <kiln/text.h>

namespace kiln::preflight {
namespace {

constexpr std::size_t most_files = 1000, most_told = 20;

}  // namespace

std::optional<std::string> text_of(Guest& g, const std::string& path, std::uint64_t limit) {
  if (!g.is_file(path)) return std::nullopt;
  try {
    return g.read(path, limit);
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
  for (const char* pattern : patterns) {
    std::vector<std::string> found = g.glob(pattern);
    if (found.size() > most_files) found.resize(most_files);
    std::ranges::move(found, std::back_inserter(out));
  }
  return out;
}

void shorten(std::vector<std::string>& evidence) {
  if (evidence.size() <= most_told) return;
  const std::size_t more = evidence.size() - most_told;
  evidence.resize(most_told);
  evidence.push_back("and " + std::to_string(more) + " more");
}

}  // namespace kiln::preflight
