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
  if (name == "catalog_folder") return &config.catalog_folder;
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

/// "0.05" in billionths, without the detour of a floating number. Nothing when it is no such number, has more than nine
/// decimals, or is above a million.
std::optional<std::int64_t> billionths_of(const std::string& text) {
  const std::size_t point = text.find('.');
  const std::string whole = text.substr(0, point), part = point == std::string::npos ? "0" : text.substr(point + 1);
  const auto digits = [](const std::string& s, std::size_t most) {
    return !s.empty() && s.size() <= most && s.find_first_not_of("0123456789") == std::string::npos;
  };
  if (!digits(whole, 7) || !digits(part, 9)) return std::nullopt;
  const std::int64_t value = std::stoll(whole + part + std::string(9 - part.size(), '0'));
  if (value > 1'000'000 * 1'000'000'000LL) return std::nullopt;
  return value;
}

std::optional<std::int64_t>* setting_of(Billing& billing, std::string_view name) {
  if (name == "per_gb_month") return &billing.per_gb_month;
  if (name == "per_image_month") return &billing.per_image_month;
  return name == "free_gb" ? &billing.free_gb : nullptr;
}

void take_billing(const toml::node& node, Config& config, std::vector<Mistake>& mistakes) {
  static const std::vector<std::string> known{"currency", "per_gb_month", "per_image_month", "free_gb"};
  if (!node.is_table()) {
    mistakes.push_back({node.source().begin, "\"billing\" is a table", "write [billing] above its lines"});
    return;
  }
  for (const auto& [key, value] : *node.as_table()) {
    const auto text = value.value_exact<std::string>();
    const auto number = value.value_exact<std::int64_t>();
    std::optional<std::int64_t>* setting = setting_of(config.billing, key.str());
    if (key == "currency" && text && !text->empty())
      config.billing.currency = *text;
    else if (key == "currency")
      mistakes.push_back(no_text(key, value));
    else if (setting == nullptr)
      mistakes.push_back(unknown(key, known, "\"currency\", \"per_gb_month\", \"per_image_month\" and \"free_gb\""));
    else if (const auto parsed = billionths_of(text ? *text : number ? std::to_string(*number) : ""))
      *setting = *parsed;
    else
      mistakes.push_back({value.source().begin,
                          '"' + std::string(key.str()) + "\" takes a number up to a million, as text",
                          "write it in quotes, such as \"0.05\", so that it stays exact"});
  }
}

/// Fills `config`; returns what it could not take, by line.
std::vector<Mistake> take(const toml::table& root, Config& config) {
  static const std::vector<std::string> known{"account",     "catalog", "catalog_folder",
                                              "signing_key", "region",  "billing"};
  std::vector<Mistake> mistakes;
  for (const auto& [key, node] : root) {
    std::string* setting = setting_of(config, key.str());
    if (key == "region") {
      take_regions(node, config, mistakes);
    } else if (key == "billing") {
      take_billing(node, config, mistakes);
    } else if (setting == nullptr) {
      mistakes.push_back(unknown(
          key, known, "\"account\", \"catalog\", \"catalog_folder\", \"signing_key\", [region.NAME] and [billing]"));
    } else if (const auto text = node.value_exact<std::string>(); key == "catalog_folder" && text && !is_path(*text)) {
      mistakes.push_back({node.source().begin, "\"catalog_folder\" takes an absolute path, not \"" + *text + '"',
                          "write catalog_folder = \"/path/of/a/folder\""});
    } else if (text && !text->empty()) {
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
