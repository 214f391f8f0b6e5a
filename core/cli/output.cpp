#include "cli/output.h"

#include <cerrno>
#include <ctime>

#include <fmt/format.h>
#include <kiln/error.h>
#include <nlohmann/json.hpp>

namespace kiln::cli {

void Output::line(std::string_view text) {
  raw(text);
  raw("\n");
}

void Output::raw(std::string_view bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stream_);
}

void Output::table(TextTable table) {
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  std::vector<std::string> headings;
  for (const std::string& heading : table.headings) {
    right.push_back(heading.starts_with('>'));
    headings.push_back(right.back() ? heading.substr(1) : heading);
    widths.push_back(width_of(headings.back()));
  }
  for (auto& row : table.rows)
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      row[i] = printable(row[i]);
      widths[i] = std::max(widths[i], width_of(row[i]));
    }

  const auto print = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t i = 0; i < cells.size() && i < widths.size(); ++i)
      text += pad(cells[i], widths[i], right[i]) + "  ";
    while (text.ends_with(' ')) text.pop_back();
    line(text);
  };
  print(headings);
  for (const auto& row : table.rows) print(row);
}

void Output::object(const Json& json) {
  line(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void Output::flush() {
  if (std::fflush(stream_) == 0 && std::ferror(stream_) == 0) return;
  if (errno == EPIPE) return;  // the reader has seen enough: kiln image list | head -1
  throw system_error("cannot write the answer to standard output", errno);
}

std::string age_of(const std::string& iso_time) {
  std::tm parts{};
  if (::strptime(iso_time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return iso_time;
  return span_text(std::max<std::time_t>(0, std::time(nullptr) - ::timegm(&parts)));
}

std::string span_text(std::int64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, " ");
  return digits;
}

}  // namespace kiln::cli
