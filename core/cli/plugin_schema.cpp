// kiln plugin schema: the JSON Schema (draft 2020-12) of pipeline files, from the parameters that plugins declare. An
// editor that knows TOML and JSON Schema completes and checks pipelines with it.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Json object_of(const std::vector<Param>& params);

/// Every value may be a string as well: "${name}" stands for a variable of any type.
Json one_of_kind(const Param& param) {
  const Json variable{{"type", "string"}, {"pattern", "\\$\\{[^}]+\\}"}};
  switch (param.type.kind) {
    case Kind::boolean:
      return {{"anyOf", {{{"type", "boolean"}}, variable}}};
    case Kind::integer:
      return {{"anyOf", {{{"type", "integer"}}, variable}}};
    case Kind::size:
      return {{"anyOf", {{{"type", "integer"}, {"minimum", 0}}, {{"type", "string"}}}}};
    case Kind::table:
      return {{"type", "object"}};
    case Kind::record:
      return object_of(param.type.fields);
    case Kind::string:
      if (!param.choices.empty()) return {{"anyOf", {{{"enum", param.choices}}, variable}}};
      return {{"type", "string"}};
    case Kind::duration:
    case Kind::path:
    case Kind::input_path:
      return {{"type", "string"}};
  }
  return {{"type", "string"}};
}

Json of_param(const Param& param) {
  Json schema = param.type.list ? Json{{"type", "array"}, {"items", one_of_kind(param)}} : one_of_kind(param);
  schema["description"] = param.doc;
  return schema;
}

Json object_of(const std::vector<Param>& params) {
  Json properties = Json::object(), needed = Json::array();
  for (const Param& param : params) {
    properties[param.name] = of_param(param);
    if (param.required) needed.push_back(param.name);
  }
  Json schema{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!needed.empty()) schema["required"] = needed;
  return schema;
}

Json of_stage(const Stage& stage) {
  Json schema = object_of(stage.about().params);
  schema["properties"]["use"] = {{"const", stage.about().name}};
  if (!schema.contains("required")) schema["required"] = Json::array();
  schema["required"].push_back("use");
  schema["description"] = stage.about().summary;
  return schema;
}

}  // namespace

int run_plugin_schema(Call& call) {
  Json stages = Json::array();
  for (const engine::Plugin& plugin : call.services.registry().all())
    if (plugin.stage != nullptr) stages.push_back(of_stage(*plugin.stage));
  const Json scalar{{"type", {"string", "integer", "boolean"}}};
  const Json schema{
      {"$schema", "https://json-schema.org/draft/2020-12/schema"},
      {"title", "kiln pipeline"},
      {"type", "object"},
      {"properties",
       {{"pipeline", {{"type", "object"}, {"properties", {{"name", {{"type", "string"}}}}}, {"required", {"name"}}}},
        {"vars", {{"type", "object"}, {"additionalProperties", scalar}}},
        {"stage", {{"type", "array"}, {"minItems", 1}, {"items", {{"oneOf", stages}}}}}}},
      {"required", {"stage"}},
      {"additionalProperties", false}};
  if (call.out.json())
    call.out.object(schema);
  else
    call.out.line(schema.dump(2));
  return 0;
}

}  // namespace kiln::cli
