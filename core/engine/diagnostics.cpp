#include "engine/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include <kiln/text.h>

namespace kiln::engine {

std::string render(const Diagnostic& d) {
  std::string out = printable(d.file);
  if (!d.file.empty() && d.place.line != 0) out += fmt::format(":{}:{}", d.place.line, d.place.column);
  out += fmt::format("{}error: {}\n", out.empty() ? "" : ": ", printable(d.what));
  if (d.place.line != 0 && !d.source.empty()) {
    std::string line = d.source;
    std::ranges::replace(line, '\t', ' ');  // one column each, so that the caret stands right
    const std::string shown = printable(line), carets(std::max<std::size_t>(d.place.length, 1), '^');
    out += fmt::format("{:>5} | {}\n", d.place.line, shown);
    if (shown == line)  // otherwise the columns are others
      out += fmt::format("      | {:>{}}\n", carets, std::max<std::size_t>(d.place.column, 1) - 1 + carets.size());
  }
  if (!d.hint.empty()) out += fmt::format("help: {}\n", printable(d.hint));
  return out;
}

std::string render(const std::vector<Diagnostic>& all) {
  std::string out;
  for (const Diagnostic& d : all) out += render(d);
  out += fmt::format("{} problem{}; nothing was run\n", all.size(), all.size() == 1 ? "" : "s");
  return out;
}

std::string render_json(const std::vector<Diagnostic>& all) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Diagnostic& d : all)
    list.push_back({{"file", d.file},
                    {"line", d.place.line},
                    {"column", d.place.column},
                    {"length", d.place.length},
                    {"message", d.what},
                    {"hint", d.hint}});
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace kiln::engine
