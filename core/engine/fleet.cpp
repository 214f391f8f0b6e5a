#include "engine/fleet.h"

#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include <kiln/error.h>
#include <kiln/file.h>
#include <kiln/value.h>

namespace kiln::engine {
namespace {

struct Mistake {
  toml::source_position at;
  std::string what, hint;
};

struct Text {
  std::string_view name;
  std::string FleetGroup::*member;
};

struct Number {
  std::string_view name;
  std::int64_t FleetGroup::*member;
  std::int64_t least, most;
};

constexpr Text texts[] = {
    {"name", &FleetGroup::name},           {"image", &FleetGroup::image},       {"memory", &FleetGroup::memory},
    {"disk_size", &FleetGroup::disk_size}, {"disk_bus", &FleetGroup::disk_bus}, {"nic", &FleetGroup::nic},
    {"network", &FleetGroup::network},     {"firmware", &FleetGroup::firmware}, {"driver", &FleetGroup::driver},
    {"connect", &FleetGroup::connect},
};
constexpr Number numbers[] = {{"count", &FleetGroup::count, 0, 500}, {"cpus", &FleetGroup::cpus, 1, 255}};

std::vector<std::string> known_settings() {
  std::vector<std::string> names{"ports", "ssh_keys", "user_data"};
  for (const Text& text : texts) names.emplace_back(text.name);
  for (const Number& number : numbers) names.emplace_back(number.name);
  return names;
}

std::string in_quotes(std::string_view name) {
  return '"' + std::string(name) + '"';
}

class GroupReader {
 public:
  GroupReader(std::filesystem::path folder, std::vector<Mistake>& mistakes)
      : folder_(std::move(folder)), mistakes_(mistakes) {}

  FleetGroup read(const toml::table& table) {
    FleetGroup group{.line = table.source().begin.line};
    for (const auto& [key, node] : table) take(key, node, group);
    for (const char* needed : {"name", "image"})
      if (!table.contains(needed))
        mistakes_.push_back({table.source().begin, "an [[instance]] has no " + in_quotes(needed),
                             "write " + std::string(needed) + " = \"…\""});
    return group;
  }

 private:
  void take(const toml::key& key, const toml::node& node, FleetGroup& group) {
    const std::string_view name = key.str();
    for (const Text& text : texts)
      if (text.name == name) return take_text(name, node, group.*text.member);
    for (const Number& number : numbers)
      if (number.name == name) return take_number(number, node, group.*number.member);
    if (name == "ports") return take_list(name, node, group.ports);
    if (name == "ssh_keys") return take_files(name, node, group.ssh_keys);
    std::string file;
    if (name == "user_data") {
      take_text(name, node, file);
      group.user_data = folder_ / file;
      return;
    }
    const auto near = nearest(std::string(name), known_settings());
    mistakes_.push_back({key.source().begin, "unknown setting " + in_quotes(name),
                         near ? "did you mean " + in_quotes(*near) + "?" : "leave it out"});
  }

  void take_text(std::string_view name, const toml::node& node, std::string& into) {
    const auto text = node.value_exact<std::string>();
    if (text && !text->empty())
      into = *text;
    else
      mistakes_.push_back({node.source().begin, in_quotes(name) + " takes a string that is not empty",
                           "write " + std::string(name) + " = \"…\", or leave it out"});
  }

  void take_number(const Number& number, const toml::node& node, std::int64_t& into) {
    const auto value = node.value_exact<std::int64_t>();
    if (value && *value >= number.least && *value <= number.most)
      into = *value;
    else
      mistakes_.push_back({node.source().begin,
                           in_quotes(number.name) + " takes a number from " + std::to_string(number.least) + " to " +
                               std::to_string(number.most),
                           "write " + std::string(number.name) + " = 1"});
  }

  void take_list(std::string_view name, const toml::node& node, std::vector<std::string>& into) {
    if (const toml::array* list = node.as_array())
      for (const toml::node& one : *list) take_text(name, one, into.emplace_back());
    else
      mistakes_.push_back({node.source().begin, in_quotes(name) + " takes a list of strings",
                           "write " + std::string(name) + " = [\"…\"]"});
  }

  void take_files(std::string_view name, const toml::node& node, std::vector<std::filesystem::path>& into) {
    std::vector<std::string> files;
    take_list(name, node, files);
    for (const std::string& file : files) into.push_back(folder_ / file);
  }

  std::filesystem::path folder_;
  std::vector<Mistake>& mistakes_;
};

/// Without a '/': instances are marked as "fleet/group".
bool is_fleet_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

void take_head(const toml::node& node, Fleet& fleet, std::vector<Mistake>& mistakes) {
  const toml::table* table = node.as_table();
  const auto name = table == nullptr ? std::nullopt : (*table)["name"].value_exact<std::string>();
  if (name && !name->empty() && table->size() == 1 && is_fleet_name(*name))
    fleet.name = *name;
  else if (name && !is_fleet_name(*name))
    mistakes.push_back({(*table)["name"].node()->source().begin, "a fleet's name has letters, digits, '-', '_' and '.'",
                        "such as name = \"shop\""});
  else
    mistakes.push_back({node.source().begin, "[fleet] takes a name, and nothing else", "write name = \"…\" below it"});
}

Fleet take(const toml::table& root, const std::filesystem::path& folder, std::vector<Mistake>& mistakes) {
  Fleet fleet;
  GroupReader reader(folder, mistakes);
  std::set<std::string> names;
  for (const auto& [key, node] : root) {
    const toml::array* groups = node.as_array();
    if (key == "fleet") {
      take_head(node, fleet, mistakes);
    } else if (key != "instance" || groups == nullptr || !groups->is_homogeneous<toml::table>()) {
      mistakes.push_back({key.source().begin,
                          "a fleet's file has [fleet] and [[instance]], not " + in_quotes(key.str()),
                          "write [[instance]] above what describes one"});
    } else {
      for (const toml::node& group : *groups) {
        fleet.groups.push_back(reader.read(*group.as_table()));
        if (!names.insert(fleet.groups.back().name).second)
          mistakes.push_back({group.source().begin, "two groups are called " + in_quotes(fleet.groups.back().name),
                              "give each a name of its own"});
      }
    }
  }
  if (!root.contains("fleet")) mistakes.push_back({{1, 1}, "the fleet has no name", "write [fleet] and name = \"…\""});
  return fleet;
}

}  // namespace

Fleet read_fleet(const std::filesystem::path& file) {
  const std::string text = read_text(file, 1u << 20);
  const auto place = [&](const toml::source_position& at) {
    return file.string() + ':' + std::to_string(at.line) + ':' + std::to_string(at.column) + ": ";
  };
  std::vector<Mistake> mistakes;
  Fleet fleet;
  try {
    fleet = take(toml::parse(std::string_view(text), file.string()), file.parent_path(), mistakes);
  } catch (const toml::parse_error& error) {
    throw invalid(place(error.source().begin) + "not valid TOML: " + std::string(error.description()),
                  "it has [fleet] with a name, and an [[instance]] with name and image for each group");
  }
  if (mistakes.empty()) return fleet;
  std::ranges::stable_sort(mistakes, {}, [](const Mistake& m) { return m.at.line; });
  std::vector<std::string> others;
  for (std::size_t i = 1; i < mistakes.size(); ++i) others.push_back(place(mistakes[i].at) + mistakes[i].what);
  throw invalid(place(mistakes[0].at) + mistakes[0].what, mistakes[0].hint, others);
}

}  // namespace kiln::engine
