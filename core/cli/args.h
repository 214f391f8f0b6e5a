#pragma once
// What the user typed, after the command line was split up and before anybody acts on it. Nothing here knows CLI11.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <kiln/value.h>

namespace kiln::cli {

/// How an argument is written on the command line.
enum class Given {
  positional,  ///< by its place: FILE
  optional,    ///< by its place, and may be left out: [NAME]
  flag,        ///< --json
  value,       ///< --name web
  values,      ///< --set a=1 --set b=2
  rest,        ///< everything after "--", as it is
};

/// One argument of a verb, as the table of verbs declares it.
struct Arg {
  std::string_view name;  ///< "FILE" or "--set"; "-o,--option" gives a short form too
  Given given;
  std::string_view value;  ///< what the help calls the value: "NAME=VALUE"
  std::string_view help;
};

/// The values given. Names are those of the table, the long form without its dashes: "FILE", "set".
/// Every reader throws invalid() that names the option when the text is not of its type.
class Args {
 public:
  void add(const std::string& name, std::string text) { values_[name].push_back(std::move(text)); }

  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  /// The last value given, or `fallback`.
  std::string text(std::string_view name, std::string_view fallback = "") const;
  const std::vector<std::string>& all(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t fallback, std::int64_t least, std::int64_t most) const;
  Bytes size(std::string_view name, Bytes fallback) const;
  Duration duration(std::string_view name, Duration fallback) const;
  /// "key=value", each split at its first equals sign.
  std::vector<std::pair<std::string, std::string>> pairs(std::string_view name) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

}  // namespace kiln::cli
