#include "engine/document.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include <kiln/file.h>

namespace kiln::engine {
namespace {

Place place_of(const toml::source_region& region, std::string_view text = {}) {
  Place place{region.begin.line, region.begin.column, std::max<std::size_t>(text.size(), 1)};
  if (text.empty() && region.end.line == region.begin.line && region.end.column > region.begin.column)
    place.length = region.end.column - region.begin.column;
  return place;
}

std::string known_or_nearest(std::string_view word, const std::vector<std::string>& known) {
  if (const auto near = nearest(word, known)) return "did you mean \"" + *near + "\"?";
  std::string hint = "it may hold";
  for (const std::string& name : known) hint += (&name == &known.front() ? " \"" : ", \"") + name + '"';
  return hint;
}

/// One pass over the parsed tables that fills a Document.
class Reader {
 public:
  explicit Reader(Document& document) : out_(document) {}

  void read(const toml::table& root) {
    static const std::vector<std::string> known{"pipeline", "vars", "stage"};
    for (const auto& [key, node] : root) {
      const Place place = place_of(key.source(), key.str());
      if (key == "pipeline") {
        pipeline(node, place);
      } else if (key == "vars") {
        variables(node, place);
      } else if (key == "stage") {
        stages(node, place);
      } else {
        out_.problem(place, "unknown table \"" + std::string(key.str()) + '"', known_or_nearest(key.str(), known));
      }
    }
    // A table's entries come by name; a person reads a file by line.
    std::ranges::stable_sort(out_.problems, {}, [](const Diagnostic& d) { return d.place.line; });
  }

 private:
  void pipeline(const toml::node& node, Place place) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return out_.problem(place, "\"pipeline\" is a table", "write [pipeline]");
    for (const auto& [key, value] : *table) {
      const Place at = place_of(key.source(), key.str());
      const auto text = value.value<std::string>();
      if (key != "name") {
        out_.problem(at, "unknown parameter \"" + std::string(key.str()) + "\" of [pipeline]",
                     known_or_nearest(key.str(), {"name"}));
      } else if (!value.is_string() || text->empty()) {
        out_.problem(at, "\"name\" takes a string that is not empty");
      } else {
        out_.name = *text;
      }
    }
  }

  void variables(const toml::node& node, Place place) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return out_.problem(place, "\"vars\" is a table", "write [vars]");
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      const Place at = place_of(key.source(), name);
      if (value.is_string() || value.is_integer() || value.is_boolean()) {
        std::string text = value.is_string() ? **value.as_string() : std::string();
        if (value.is_integer()) text = std::to_string(**value.as_integer());
        if (value.is_boolean()) text = **value.as_boolean() ? "true" : "false";
        out_.variables[name] = {std::move(text), at};
      } else {
        out_.problem(at, "variable \"" + name + "\" takes a string", "write " + name + " = \"…\"");
      }
    }
  }

  void stages(const toml::node& node, Place place) {
    const toml::array* array = node.as_array();
    if (array == nullptr || !array->is_homogeneous<toml::table>())
      return out_.problem(place, "\"stage\" is a list of tables", "begin each stage with [[stage]]");
    for (const toml::node& item : *array) {
      RawStage stage{.place = place_of(item.source(), "[[stage]]"), .params = {}, .places = {}};
      for (const auto& [key, value] : *item.as_table()) {
        if (key == "use") {
          stage.use_place = place_of(value.source());
          stage.use = value.value<std::string>();
        } else {
          entry(stage, stage.params, "", key, value);
        }
      }
      out_.stages.push_back(std::move(stage));
    }
  }

  void entry(RawStage& stage, Table& into, const std::string& prefix, const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    stage.places[prefix + name] = {place_of(key.source(), name), place_of(node.source())};
    if (auto value = convert(stage, prefix + name, node)) into.emplace(name, std::move(*value));
  }

  std::optional<Value> convert(RawStage& stage, const std::string& path, const toml::node& node) {
    if (const auto* v = node.as_boolean()) return Value{v->get()};
    if (const auto* v = node.as_integer()) return Value{v->get()};
    if (const auto* v = node.as_string()) return Value{v->get()};
    if (const auto* v = node.as_array()) {
      List list;
      for (std::size_t i = 0; i < v->size(); ++i) {
        const std::string item = path + '[' + std::to_string(i) + ']';
        const Place at = place_of((*v)[i].source());
        stage.places[item] = {at, at};
        if (auto value = convert(stage, item, (*v)[i])) list.push_back(std::move(*value));
      }
      return Value{std::move(list)};
    }
    if (const auto* v = node.as_table()) {
      Table table;
      for (const auto& [key, value] : *v) entry(stage, table, path + '.', key, value);
      return Value{std::move(table)};
    }
    out_.problem(
        place_of(node.source()),
        '"' + path + "\" is " + (node.is_number() ? "a fraction" : "a date or time") + ", which no parameter takes",
        "write it as a string, such as \"1.5G\"");
    return std::nullopt;
  }

  Document& out_;
};

void split_lines(Document& document, const std::string& text) {
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.ends_with('\r')) line.pop_back();
    document.lines.push_back(line);
  }
}

}  // namespace

void Document::problem(Place place, std::string what, std::string hint) {
  Diagnostic d{.file = file, .place = place, .what = std::move(what), .hint = std::move(hint)};
  if (place.line > 0 && place.line <= lines.size()) d.source = lines[place.line - 1];
  problems.push_back(std::move(d));
}

Document read_document(const std::filesystem::path& file, const std::filesystem::path& cwd) {
  Document document{.file = file.string(), .name = file.stem().string()};
  std::string text;
  std::error_code missing;
  try {
    if (!std::filesystem::exists(cwd / file, missing))
      throw invalid("there is no pipeline file " + file.string(), "give the path of a file, such as web.toml");
    text = read_text(cwd / file, 1u << 20);
  } catch (const Error& error) {
    document.file.clear();
    document.problem({}, error.what(), error.hint().empty() ? "give the path of a pipeline file" : error.hint());
    return document;
  }
  split_lines(document, text);
  try {
    Reader(document).read(toml::parse(std::string_view(text), std::string_view(document.file)));
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    document.problem({at.line, at.column, 1}, "not valid TOML: " + std::string(error.description()),
                     "strings need quotes, lists brackets; a stage begins with [[stage]]");
  }
  return document;
}

}  // namespace kiln::engine
