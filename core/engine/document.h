#pragma once
// A pipeline file as written: values without types, each with its place. The only door to TOML.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <kiln/value.h>

#include "engine/diagnostics.h"

namespace kiln::engine {

/// Where a parameter's name and its value stand.
struct Places {
  Place name, value;
};

/// A stage as written. Value holds booleans, integers, strings, lists and tables only.
struct RawStage {
  Place place;                          ///< of its [[stage]]
  std::optional<std::string> use = {};  ///< absent when missing or not a string
  Place use_place = {};
  Table params;                          ///< without "use"
  std::map<std::string, Places> places;  ///< by path: "users[0].name"
};

struct RawVariable {
  std::string value;  ///< empty: must be given on the command line
  Place place;        ///< of its name
};

struct Document {
  std::string file;  ///< as the user gave it
  std::string name;  ///< [pipeline] name, or the file's name without its ending
  std::map<std::string, RawVariable, std::less<>> variables = {};
  std::vector<RawStage> stages = {};
  std::vector<std::string> lines = {};
  std::vector<Diagnostic> problems = {};

  void problem(Place, std::string what, std::string hint = {});
};

/// Reads and parses `file`, which is shown as it is given and opened relative to `cwd`. Everything wrong is in
/// `problems`: a file that is missing, a syntax error, a table that has no business here, a number with a decimal
/// point.
Document read_document(const std::filesystem::path& file, const std::filesystem::path& cwd);

}  // namespace kiln::engine
