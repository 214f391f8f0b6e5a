// kiln inspect: what a disk's container says of itself, read natively; with --digest also what is in it.
#include <unistd.h>

#include <fmt/format.h>
#include <kiln/layout.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "disk/pump.h"

namespace kiln::cli {
namespace {

Json to_json(const Inspection& found, const std::filesystem::path& file) {
  Json findings = Json::array();
  for (const Finding& finding : found.findings) findings.push_back(finding_json(finding));
  return {{"file", file.string()},        {"format", found.format},
          {"variant", found.variant},     {"virtual_size", found.virtual_size},
          {"file_size", found.file_size}, {"details", found.details},
          {"findings", findings}};
}

void print(Output& out, const Inspection& found) {
  out.line(fmt::format("format        {}{}{}", found.format, found.variant.empty() ? "" : " ", found.variant));
  out.line(fmt::format("virtual size  {} ({} bytes)", format_bytes(found.virtual_size), found.virtual_size));
  out.line(fmt::format("file size     {} ({} bytes)", format_bytes(found.file_size), found.file_size));
  std::size_t width = 12;
  for (const auto& [name, value] : found.details) width = std::max(width, width_of(printable(name)));
  for (const auto& [name, value] : found.details)
    out.line(fmt::format("{}  {}", pad(printable(name), width), printable(value)));
  for (const Finding& finding : found.findings) out.line(render(finding, Style(false)));
}

}  // namespace

int run_inspect(Call& call) {
  const std::filesystem::path file = call.args.text("FILE");
  const engine::Registry& registry = call.services.registry();
  const Format& format = call.args.has("format") ? registry.get(call.args.text("format")) : registry.detect(file);
  const Inspection found = format.inspect(file);
  const auto reader = format.open(file);
  if (!call.args.has("format") || found.format != "raw") refuse_nested(registry, *reader, file.filename().string());
  Json json = to_json(found, file);
  json["layout"] = look_at(*reader).kind;
  if (!call.out.json()) print(call.out, found);
  if (call.args.has("digest")) {
    Activity activity("reading", call.out.json());
    const PassResult pass = pump(*reader, {}, {.stop = call.stop, .progress = activity.bytes()});
    activity.end();
    json["content"] = "sha256:" + to_hex(pass.content);
    json["data_bytes"] = pass.data_bytes;
    if (!call.out.json()) {
      call.out.line(fmt::format("data          {}", format_bytes(pass.data_bytes)));
      call.out.line(fmt::format("content       sha256:{}", to_hex(pass.content)));
    }
  }
  if (call.out.json()) call.out.object(json);
  return 0;
}

}  // namespace kiln::cli
