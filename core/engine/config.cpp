#include "engine/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <vector>

#include <kiln/file.h>
#include <kiln/value.h>

namespace kiln::engine {
namespace {

struct Mistake {
  toml::source_position at;
  std::string what, hint;
};

std::string place_of(const std::filesystem::path& file, const toml::source_position& at) {
  return file.string() + ':' + std::to_string(at.line) + ':' + std::to_string(at.column) + ": ";
}

/// Fills `config`; returns what it could not take, by line.
std::vector<Mistake> take(const toml::table& root, Config& config) {
  static const std::vector<std::string> known{"account", "catalog"};
  std::vector<Mistake> mistakes;
  for (const auto& [key, node] : root) {
    const std::string name(key.str());
    if (name != "account" && name != "catalog") {
      const auto near = nearest(name, known);
      mistakes.push_back({key.source().begin, "unknown setting \"" + name + '"',
                          near ? "did you mean \"" + *near + "\"?" : "it may hold \"account\" and \"catalog\""});
    } else if (const auto text = node.value_exact<std::string>(); text && !text->empty()) {
      (name == "account" ? config.account : config.catalog) = *text;
    } else {
      mistakes.push_back({node.source().begin, '"' + name + "\" takes a string that is not empty",
                          "write " + name + " = \"…\", or leave it out"});
    }
  }
  // A table's entries come by name; a person reads a file by line.
  std::ranges::stable_sort(mistakes, {}, [](const Mistake& m) { return m.at.line; });
  return mistakes;
}

}  // namespace

Config read_config(const std::filesystem::path& file) {
  Config config;
  std::error_code failed;
  if (!std::filesystem::exists(file, failed)) return config;
  const std::string text = read_text(file, 1u << 16);
  std::vector<Mistake> mistakes;
  try {
    mistakes = take(toml::parse(std::string_view(text), file.string()), config);
  } catch (const toml::parse_error& error) {
    throw invalid(place_of(file, error.source().begin) + "not valid TOML: " + std::string(error.description()),
                  "a setting is a line such as account = \"me\"");
  }
  if (mistakes.empty()) return config;
  std::vector<std::string> others;
  for (std::size_t i = 1; i < mistakes.size(); ++i) others.push_back(place_of(file, mistakes[i].at) + mistakes[i].what);
  throw invalid(place_of(file, mistakes[0].at) + mistakes[0].what, mistakes[0].hint, others);
}

}  // namespace kiln::engine
