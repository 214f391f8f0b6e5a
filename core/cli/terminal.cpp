#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace kiln::cli {
namespace {

bool set_and_not_empty(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool starts_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

}  // namespace

Terminal terminal_of(int fd) {
  Terminal terminal;
  if (::isatty(fd) == 0) return terminal;
  winsize size{};
  terminal.columns = ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80U;
  const char* type = std::getenv("TERM");
  terminal.live = !set_and_not_empty("NO_COLOR") && type != nullptr && std::string_view(type) != "dumb";
  return terminal;
}

std::size_t width_of(std::string_view text) {
  std::size_t columns = 0;
  for (const char c : text) columns += starts_code_point(c) ? 1 : 0;
  return columns;
}

std::string fit(std::string_view text, std::size_t columns) {
  if (width_of(text) <= columns) return std::string(text);
  std::size_t seen = 0, end = 0;
  while (end < text.size() && (!starts_code_point(text[end]) || seen + 1 < columns)) {
    if (starts_code_point(text[end])) ++seen;
    ++end;
  }
  return std::string(text.substr(0, end)) + (columns > 0 ? "…" : "");
}

std::string pad(std::string_view text, std::size_t columns, bool right_aligned) {
  const std::size_t width = width_of(text);
  const std::string fill(columns > width ? columns - width : 0, ' ');
  return right_aligned ? fill + std::string(text) : std::string(text) + fill;
}

}  // namespace kiln::cli
