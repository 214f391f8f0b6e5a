#include "guest/text.h"

#include <algorithm>

#include <kiln/text.h>

namespace kiln {

constexpr std::size_t line_limit = 512;

std::string option_value(std::string text) {
  for (std::size_t at = 0; (at = text.find(',', at)) != std::string::npos; at += 2) text.insert(at, 1, ',');
  return text;
}

std::vector<std::string> last_lines(std::string_view text, std::size_t count) {
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < count) {
    const std::size_t end = text.rfind('\n');
    const std::string_view line = end == std::string_view::npos ? text : text.substr(end + 1);
    if (!line.empty()) lines.push_back(printable(line, line_limit));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(0, end);
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

}  // namespace kiln
