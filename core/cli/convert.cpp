// kiln convert: the pipeline import → write, made from the command line. It always writes, whatever an earlier run did.
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/pipelines.h"
#include "cli/write_disk.h"

namespace kiln::cli {

int run_convert(Call& call) {
  const std::filesystem::path target = call.args.text("OUT");
  const Format& format = format_for(call.services.registry(), target, call.args.text("to"));
  Table import = import_of(call.args, call.args.text("IN"));
  if (call.args.has("from")) import["format"] = Value{call.args.text("from")};
  Table write{{"file", Value{target.string()}}, {"format", Value{format.about().name}}, {"durable", Value{false}}};
  Table options;
  for (const auto& [key, value] : call.args.pairs("option")) options[key] = Value{value};
  if (!options.empty()) write["options"] = Value{options};

  const auto result = run_short(call, "convert", {{"import", import}, {"write", write}}, {"write"});
  if (!result) return static_cast<int>(Failure::invalid);
  if (call.out.json()) return 0;
  const auto content = result->facts.find("source.digest");
  call.out.line(fmt::format("{}  {}  {}{}", printable(target.string()), format.about().name,
                            format_bytes(std::filesystem::file_size(target)),
                            content == result->facts.end() ? "" : "  " + content->second));
  return 0;
}

}  // namespace kiln::cli
