// kiln plugin list, info, check: the stages and formats that are installed, and what they take.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

std::string_view kind_name(const engine::Plugin& plugin) {
  if (plugin.kind == engine::PluginKind::format) return "format";
  if (plugin.stage == nullptr) return "stage";
  switch (plugin.stage->role()) {
    case Role::source:
      return "source";
    case Role::change:
      return "change";
    case Role::sink:
      return "sink";
  }
  return "stage";
}

/// A number with the largest unit that says it exactly: "4G", "5m".
std::string with_unit(std::uint64_t count, std::initializer_list<std::pair<std::uint64_t, const char*>> units) {
  for (const auto& [size, unit] : units)
    if (count != 0 && count % size == 0) return fmt::format("\"{}{}\"", count / size, unit);
  return std::to_string(count);
}

/// The value as a person would write it in a pipeline.
std::string as_written(const Value& value) {
  if (const auto* bytes = std::get_if<Bytes>(&value.v))
    return with_unit(bytes->count, {{1ull << 40, "T"}, {1ull << 30, "G"}, {1ull << 20, "M"}, {1ull << 10, "K"}});
  if (const auto* duration = std::get_if<Duration>(&value.v))
    return with_unit(static_cast<std::uint64_t>(duration->count()),
                     {{3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}});
  return canonical(value);
}

/// What the parameter is when it is left out; empty when there is nothing to say.
std::string default_text(const Param& param) {
  if (param.required) return "required";
  if (param.secret) return "";
  const std::string text = as_written(param.fallback);
  return text == "{}" || text == "[]" || text == "\"\"" || text == "" ? "" : text;
}

std::string type_text(const Param& param) {
  if (param.choices.empty()) return describe(param.type);
  std::string text = param.type.list ? "a list of: " : "";
  for (std::size_t i = 0; i < param.choices.size(); ++i)
    text += (i == 0 ? "" : ", ") + fmt::format("\"{}\"", param.choices[i]);
  return text;
}

Json to_json(const std::vector<Param>& params) {
  Json all = Json::array();
  for (const Param& param : params) {
    Json one{{"name", param.name}, {"type", describe(param.type)}, {"required", param.required}};
    if (const std::string text = default_text(param); !param.required && !text.empty()) one["default"] = text;
    if (!param.choices.empty()) one["choices"] = param.choices;
    if (param.secret) one["secret"] = true;
    one["help"] = param.doc;
    if (!param.type.fields.empty()) one["fields"] = to_json(param.type.fields);
    all.push_back(std::move(one));
  }
  return all;
}

Json to_json(const engine::Plugin& plugin) {
  Json json{{"kind", plugin.kind == engine::PluginKind::stage ? "stage" : "format"}, {"name", plugin.name}};
  if (plugin.error) {
    json["error"] = plugin.error->what();
  } else {
    const About& about = plugin.about();
    if (plugin.stage != nullptr) json["role"] = kind_name(plugin);
    json["summary"] = about.summary;
    json["revision"] = about.revision;
    if (!about.needs.empty()) json["needs"] = about.needs;
    if (!about.extensions.empty()) json["extensions"] = about.extensions;
    json["params"] = to_json(about.params);
  }
  json["file"] = plugin.file.string();
  return json;
}

void print_params(Output& out, const std::vector<Param>& params, const std::string& indent) {
  std::size_t width = 0;
  for (const Param& param : params) width = std::max(width, param.name.size());
  for (const Param& param : params) {
    const std::string fallback = default_text(param);
    out.line(fmt::format("{}{}  {}{}", indent, pad(param.name, width), type_text(param),
                         fallback.empty() ? ""
                         : param.required ? " (required)"
                                          : fmt::format(" (default {})", fallback)));
    out.line(fmt::format("{}{}  {}", indent, std::string(width, ' '), param.doc));
    if (!param.type.fields.empty()) print_params(out, param.type.fields, indent + std::string(width, ' ') + "  ");
  }
}

/// A cell of a Markdown table: a bar would end it.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

void print_markdown(Output& out, const std::vector<Param>& params, const std::string& prefix) {
  for (const Param& param : params) {
    const std::string fallback = default_text(param);
    out.line(fmt::format("| `{}{}` | {} | {} | {} |", prefix, param.name, cell(type_text(param)),
                         fallback.empty() || param.required ? fallback : "`" + cell(fallback) + "`", cell(param.doc)));
    print_markdown(out, param.type.fields, prefix + param.name + (param.type.list ? "[]." : "."));
  }
}

engine::Plugin find_plugin(Call& call, const std::string& name) {
  std::vector<std::string> known;
  for (engine::Plugin& plugin : call.services.registry().all()) {
    if (plugin.name == name) return plugin;
    known.push_back(plugin.name);
  }
  const auto near = nearest(name, known);
  throw invalid(fmt::format("there is no plugin \"{}\"", name),
                near ? fmt::format("did you mean \"{}\"?", *near) : "see kiln plugin list");
}

}  // namespace

int run_plugin_list(Call& call) {
  const std::vector<engine::Plugin> plugins = call.services.registry().all();
  if (call.out.json()) {
    Json all = Json::array();
    for (const engine::Plugin& plugin : plugins) all.push_back(to_json(plugin));
    call.out.object({{"plugins", all}});
    return 0;
  }
  TextTable table{{"NAME", "KIND", "WHAT IT DOES"}};
  for (const engine::Plugin& plugin : plugins)
    table.rows.push_back(
        {plugin.name, std::string(kind_name(plugin)),
         plugin.error ? std::string("cannot be loaded: ") + plugin.error->what() : plugin.about().summary});
  call.out.table(table);
  return 0;
}

int run_plugin_info(Call& call) {
  const engine::Plugin plugin = find_plugin(call, call.args.text("NAME"));
  if (plugin.error) throw *plugin.error;
  const About& about = plugin.about();
  if (call.out.json()) {
    call.out.object(to_json(plugin));
  } else if (call.args.has("markdown")) {
    if (about.params.empty()) {
      call.out.line("It takes no parameters.");
      return 0;
    }
    call.out.line("| parameter | type | default | |");
    call.out.line("|---|---|---|---|");
    print_markdown(call.out, about.params, "");
  } else {
    call.out.line(fmt::format("{} ({}): {}", about.name, kind_name(plugin), about.summary));
    for (const std::string& need : about.needs) call.out.line("needs " + need);
    if (!about.params.empty()) call.out.line();
    print_params(call.out, about.params, "  ");
  }
  return 0;
}

int run_plugin_check(Call& call) {
  const engine::Plugin plugin = engine::load_plugin(call.args.text("FILE"));
  if (plugin.error) throw *plugin.error;
  if (call.out.json())
    call.out.object(to_json(plugin));
  else
    call.out.line(fmt::format("{}: {} \"{}\", {} parameters, fits this kiln", printable(plugin.file.string()),
                              kind_name(plugin), plugin.name, plugin.about().params.size()));
  return 0;
}

}  // namespace kiln::cli
