#include <kiln/param.h>

#include <algorithm>
#include <charconv>

namespace kiln {
namespace {

constexpr const char* one[] = {
    "a boolean", "an integer", "a string", "a size such as \"20G\"", "a duration such as \"90s\"", "a path",
    "a path",    "a table",    "a table"};
constexpr const char* many[] = {"booleans", "integers", "strings", "sizes", "durations",
                                "paths",    "paths",    "tables",  "tables"};

/// What a value is, as a message names it.
std::string name_of(const Value& value, bool secret) {
  struct Name {
    bool secret;
    std::string operator()(bool) const { return "a boolean"; }
    std::string operator()(std::int64_t) const { return "an integer"; }
    std::string operator()(const std::string& v) const {
      return secret || v.size() > 60 ? "this string" : canonical(Value{v});
    }
    std::string operator()(Bytes) const { return "a size"; }
    std::string operator()(Duration) const { return "a duration"; }
    std::string operator()(const std::filesystem::path&) const { return "a path"; }
    std::string operator()(const InputPath&) const { return "a path"; }
    std::string operator()(const List&) const { return "a list"; }
    std::string operator()(const Table&) const { return "a table"; }
  };
  return std::visit(Name{secret}, value.v);
}

std::optional<Value> from_text(Kind kind, const std::string& text) {
  switch (kind) {
    case Kind::boolean:
      if (text == "true" || text == "false") return Value{text == "true"};
      return std::nullopt;
    case Kind::integer: {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
      return Value{number};
    }
    case Kind::size:
      if (const auto bytes = parse_bytes(text)) return Value{*bytes};
      return std::nullopt;
    case Kind::duration:
      if (const auto duration = parse_duration(text)) return Value{*duration};
      return std::nullopt;
    case Kind::string:
      return Value{text};
    case Kind::path:
      if (text.empty()) return std::nullopt;
      return Value{std::filesystem::path(text)};
    case Kind::input_path:
      if (text.empty()) return std::nullopt;
      return Value{InputPath{text}};
    case Kind::table:
    case Kind::record:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Value> scalar(Kind kind, const Value& given) {
  if (const auto* text = std::get_if<std::string>(&given.v)) return from_text(kind, *text);
  if (const auto* number = std::get_if<std::int64_t>(&given.v)) {
    if (kind == Kind::integer) return given;
    if (kind == Kind::size && *number >= 0) return Value{Bytes{static_cast<std::uint64_t>(*number)}};
    return std::nullopt;
  }
  const bool fits = (kind == Kind::boolean && std::holds_alternative<bool>(given.v)) ||
                    (kind == Kind::size && std::holds_alternative<Bytes>(given.v)) ||
                    (kind == Kind::duration && std::holds_alternative<Duration>(given.v)) ||
                    (kind == Kind::path && std::holds_alternative<std::filesystem::path>(given.v)) ||
                    (kind == Kind::input_path && std::holds_alternative<InputPath>(given.v)) ||
                    ((kind == Kind::table || kind == Kind::record) && std::holds_alternative<Table>(given.v));
  if (kind == Kind::input_path && std::holds_alternative<std::filesystem::path>(given.v))
    return Value{InputPath{std::get<std::filesystem::path>(given.v)}};
  return fits ? std::optional(given) : std::nullopt;
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "\"" : ", \"") + word + '"';
  return out;
}

/// Walks values and declarations side by side.
class Typing {
 public:
  explicit Typing(Problems& problems) : problems_(problems) {}

  Table table(const Table& given, const std::vector<Param>& params, const std::string& prefix) {
    Table out;
    for (const auto& [name, value] : given) {
      const auto it = std::ranges::find(params, name, &Param::name);
      if (it == params.end()) {
        unknown(name, params, prefix);
      } else if (auto result = one_or_list(value, *it, prefix + name)) {
        out.emplace(name, std::move(*result));
      }
    }
    for (const Param& param : params)
      if (param.required && !given.contains(param.name))
        problems_.push_back(
            {prefix + param.name, "missing required parameter \"" + prefix + param.name + '"', param.doc, true});
    return out;
  }

 private:
  void unknown(const std::string& name, const std::vector<Param>& params, const std::string& prefix) {
    std::vector<std::string> names;
    for (const Param& param : params) names.push_back(param.name);
    const auto near = nearest(name, names);
    std::string hint = names.empty() ? "it takes none" : "it takes " + quoted_list(names);
    if (near) hint = "did you mean \"" + *near + "\"?";
    problems_.push_back({prefix + name, "unknown parameter \"" + prefix + name + '"', std::move(hint), true});
  }

  std::optional<Value> one_or_list(const Value& given, const Param& param, const std::string& path) {
    if (!param.type.list) return item(given, param, path);
    const auto* list = std::get_if<List>(&given.v);
    if (list == nullptr) {
      wrong(given, param, path, describe(param.type), "write it in brackets: " + param.name + " = [ … ]");
      return std::nullopt;
    }
    List out;
    for (std::size_t i = 0; i < list->size(); ++i)
      if (auto value = item((*list)[i], param, path + '[' + std::to_string(i) + ']')) out.push_back(std::move(*value));
    return Value{std::move(out)};
  }

  std::optional<Value> item(const Value& given, const Param& param, const std::string& path) {
    const std::optional<Value> value = scalar(param.type.kind, given);
    if (!value) {
      wrong(given, param, path, one[static_cast<std::size_t>(param.type.kind)], "");
      return std::nullopt;
    }
    if (param.type.kind == Kind::record) return Value{table(std::get<Table>(value->v), param.type.fields, path + '.')};
    if (!param.choices.empty() && param.type.kind == Kind::string) {
      const std::string& text = std::get<std::string>(value->v);
      if (std::ranges::find(param.choices, text) == param.choices.end()) {
        problems_.push_back({path, '"' + path + "\" cannot be " + name_of(given, param.secret),
                             "choose one of " + quoted_list(param.choices)});
        return std::nullopt;
      }
    }
    return value;
  }

  void wrong(const Value& given, const Param& param, const std::string& path, const std::string& wanted,
             std::string hint) {
    problems_.push_back(
        {path, '"' + path + "\" takes " + wanted + ", not " + name_of(given, param.secret), std::move(hint)});
  }

  Problems& problems_;
};

}  // namespace

std::string describe(const Type& type) {
  const auto at = static_cast<std::size_t>(type.kind);
  return type.list ? std::string("a list of ") + many[at] : std::string(one[at]);
}

Table typed(const Table& given, const std::vector<Param>& params, Problems& problems) {
  return Typing(problems).table(given, params, "");
}

}  // namespace kiln
