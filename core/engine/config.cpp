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

Mistake unknown(const toml::key& key, const std::vector<std::string>& known, const std::string& list) {
  const auto near = nearest(std::string(key.str()), known);
  return {key.source().begin, "unknown setting \"" + std::string(key.str()) + '"',
          near ? "did you mean \"" + *near + "\"?" : "it may hold " + list};
}

Mistake no_text(const toml::key& key, const toml::node& node) {
  const std::string name(key.str());
  return {node.source().begin, '"' + name + "\" takes a string that is not empty",
          "write " + name + " = \"…\", or leave it out"};
}

std::string* setting_of(RegionConfig& region, std::string_view name) {
  if (name == "folder") return &region.folder;
  if (name == "bucket") return &region.bucket;
  if (name == "region") return &region.region;
  if (name == "access_key") return &region.access_key;
  return name == "secret_key_file" ? &region.secret_key_file : nullptr;
}

std::string* setting_of(Config& config, std::string_view name) {
  if (name == "account") return &config.account;
  if (name == "catalog") return &config.catalog;
  return name == "signing_key" ? &config.signing_key : nullptr;
}

bool is_path(const std::string& text) {
  return text.empty() || text.front() == '/';
}

/// One [region.NAME].
void take_region(const toml::key& key, const toml::table& table, Config& config, std::vector<Mistake>& mistakes) {
  static const std::vector<std::string> known{"folder", "bucket", "region", "access_key", "secret_key_file"};
  RegionConfig region{.name = std::string(key.str())};
  const std::size_t before = mistakes.size();
  for (const auto& [name, node] : table) {
    std::string* setting = setting_of(region, name.str());
    if (setting == nullptr)
      mistakes.push_back(unknown(name, known, "\"folder\", or \"bucket\" and how to reach it"));
    else if (const auto text = node.value_exact<std::string>(); text && !text->empty())
      *setting = *text;
    else
      mistakes.push_back(no_text(name, node));
  }
  if (mistakes.size() > before) return;
  if (region.folder.empty() == region.bucket.empty())
    mistakes.push_back({key.source().begin, "region \"" + region.name + "\" needs either a folder or a bucket",
                        "write folder = \"/path/of/a/catalog\", or bucket = \"https://host/bucket\""});
  else if (!is_path(region.folder) || !is_path(region.secret_key_file))
    mistakes.push_back({key.source().begin, "a path of region \"" + region.name + "\" is not absolute",
                        "begin it with \"/\": kiln is called from anywhere"});
  config.regions.push_back(std::move(region));
}

void take_regions(const toml::node& node, Config& config, std::vector<Mistake>& mistakes) {
  const Mistake no_table{node.source().begin, "a region is a table of its own", "write [region.NAME] above its lines"};
  if (!node.is_table()) {
    mistakes.push_back(no_table);
    return;
  }
  for (const auto& [name, region] : *node.as_table())
    if (const toml::table* table = region.as_table())
      take_region(name, *table, config, mistakes);
    else
      mistakes.push_back(no_table);
}

/// Fills `config`; returns what it could not take, by line.
std::vector<Mistake> take(const toml::table& root, Config& config) {
  static const std::vector<std::string> known{"account", "catalog", "signing_key", "region"};
  std::vector<Mistake> mistakes;
  for (const auto& [key, node] : root) {
    std::string* setting = setting_of(config, key.str());
    if (key == "region") {
      take_regions(node, config, mistakes);
    } else if (setting == nullptr) {
      mistakes.push_back(unknown(key, known, "\"account\", \"catalog\", \"signing_key\" and [region.NAME]"));
    } else if (const auto text = node.value_exact<std::string>(); text && !text->empty()) {
      *setting = *text;
    } else {
      mistakes.push_back(no_text(key, node));
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
