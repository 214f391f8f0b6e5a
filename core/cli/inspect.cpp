// kiln inspect: what a disk says of itself, read natively; with --digest also what is in it, and with --profile what
// preflight finds in the guest.
#include <unistd.h>

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <kiln/layout.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/console_observer.h"
#include "cli/errors.h"
#include "cli/pipelines.h"
#include "cli/source_view.h"
#include "disk/pump.h"

namespace kiln::cli {
namespace {

/// What is told of a disk, wherever it came from.
struct Told {
  Inspection of;
  std::string layout;
  std::vector<SourceView::Part> further;
  std::shared_ptr<const BlockReader> disk;
};

Json to_json(const Told& told, const std::string& file) {
  const Inspection& of = told.of;
  Json findings = Json::array(), disks = Json::array();
  for (const Finding& finding : of.findings) findings.push_back(finding_json(finding));
  disks.push_back({{"name", "system"}, {"virtual_size", of.virtual_size}});
  for (const SourceView::Part& part : told.further)
    disks.push_back({{"name", part.name}, {"virtual_size", part.virtual_size}});
  return {{"file", file},
          {"format", of.format},
          {"variant", of.variant},
          {"virtual_size", of.virtual_size},
          {"file_size", of.file_size},
          {"details", of.details},
          {"findings", findings},
          {"layout", told.layout},
          {"disks", disks}};
}

void print(Output& out, const Told& told) {
  const Inspection& found = told.of;
  out.line(fmt::format("format        {}{}{}", found.format, found.variant.empty() ? "" : " ", found.variant));
  out.line(fmt::format("virtual size  {} ({} bytes)", format_bytes(found.virtual_size), found.virtual_size));
  out.line(fmt::format("file size     {} ({} bytes)", format_bytes(found.file_size), found.file_size));
  std::size_t width = 12;
  for (const auto& [name, value] : found.details) width = std::max(width, width_of(printable(name)));
  for (const SourceView::Part& part : told.further)
    out.line(fmt::format("{}  {}", pad(printable(part.name), width), format_bytes(part.virtual_size)));
  for (const auto& [name, value] : found.details)
    out.line(fmt::format("{}  {}", pad(printable(name), width), printable(value)));
  for (const Finding& finding : found.findings) out.line(render(finding, Style(false)));
}

/// A file that is a container and nothing around it. What is in it is told by the container's own words.
const Format* plain_format(Call& call, const std::string& file) {
  const engine::Registry& registry = call.services.registry();
  std::error_code error;
  const bool layout = std::filesystem::exists(std::filesystem::path(file) / "oci-layout", error);
  if (file == "-" || file.find("://") != std::string::npos || layout) return nullptr;
  for (const char* name : {"sha256", "tag", "allow"})
    if (call.args.has(name)) return nullptr;
  try {
    return call.args.has("format") ? &registry.get(call.args.text("format")) : &registry.detect(file);
  } catch (const Error& unknown) {
    if (unknown.code() != code::unknown_format) throw;
    return nullptr;  // an archive, something compressed, an OVF
  }
}

Told tell_plain(Call& call, const Format& format, const std::string& file) {
  Told told{.of = format.inspect(std::filesystem::path(file)),
            .layout = {},
            .further = {},
            .disk = format.open(std::filesystem::path(file))};
  if (!call.args.has("format") || told.of.format != "raw")
    refuse_nested(call.services.registry(), *told.disk, std::filesystem::path(file).filename().string());
  told.layout = look_at(*told.disk).kind;
  return told;
}

std::string take(Facts& facts, const std::string& name) {
  const auto it = facts.find(name);
  if (it == facts.end()) return {};
  std::string value = std::move(it->second);
  facts.erase(it);
  return value;
}

/// What the stage import says of it.
Told tell_source(SourceView& view) {
  Told told{.of = {.format = take(view.known, "source.format"),
                   .variant = {},
                   .virtual_size = view.disk_size(),
                   .details = {}},
            .layout = take(view.known, "disk.layout"),
            .further = view.further,
            .disk = view.disk_read};
  const std::string size = take(view.known, "source.size");
  if (const auto bytes = parse_bytes(size)) told.of.file_size = bytes->count;
  view.known.erase("source.kind");
  told.of.details = view.known;
  told.of.findings = view.findings;
  return told;
}

/// What preflight finds is part of the answer, and not of the way to it.
class Collector final : public engine::Observer {
 public:
  explicit Collector(engine::Observer* shown) : shown_(shown) {}
  void on(const engine::Event& event) override {
    if (event.kind == engine::Event::Kind::finding && event.name == "preflight")
      return findings.push_back(*event.finding);
    if (event.kind != engine::Event::Kind::finding && shown_ != nullptr) shown_->on(event);
  }
  std::vector<Finding> findings;

 private:
  engine::Observer* shown_;
};

bool has_errors(const std::vector<Finding>& findings) {
  return std::ranges::any_of(findings, [](const Finding& f) { return f.severity >= Severity::error; });
}

/// Over an overlay that is thrown away. When the rules are not met the stage says so once more, as an error.
std::vector<Finding> look_into_guest(Call& call, const Table& import) {
  const engine::Loaded loaded = engine::make_pipeline(
      "inspect", {{"import", import}, {"preflight", preflight_of(call.args)}}, call.services.registry());
  if (!loaded.ok()) throw invalid(loaded.problems.front().what, loaded.problems.front().hint);
  std::optional<ConsoleObserver> console;
  if (!call.out.json()) console.emplace(stderr, STDERR_FILENO, RunHeader{.shown = false, .stages = {"preflight"}});
  Collector collector(console ? &*console : nullptr);
  try {
    engine::run(loaded.pipeline, call.services.engine(), collector, {.again = {"preflight"}, .stop = call.stop});
  } catch (const Error& error) {
    const auto told = [&](const Finding& f) { return f.severity >= Severity::error && f.code == error.code(); };
    if (std::ranges::none_of(collector.findings, told)) throw;
  }
  return collector.findings;
}

void tell_digest(Call& call, const BlockReader& disk, Json& json) {
  Activity activity("reading", call.out.json());
  const PassResult pass = pump(disk, {}, {.stop = call.stop, .progress = activity.bytes()});
  activity.end();
  json["content"] = "sha256:" + to_hex(pass.content);
  json["data_bytes"] = pass.data_bytes;
  if (call.out.json()) return;
  call.out.line(fmt::format("data          {}", format_bytes(pass.data_bytes)));
  call.out.line(fmt::format("content       sha256:{}", to_hex(pass.content)));
}

/// The one stage of a pipeline, with typed parameters. Nothing: its problems were shown.
std::optional<engine::Step> import_step(Call& call, const Table& import) {
  const engine::Loaded loaded = engine::make_pipeline("inspect", {{"import", import}}, call.services.registry());
  if (loaded.ok()) return loaded.pipeline.steps.front();
  report(loaded.problems, call.out);
  return std::nullopt;
}

}  // namespace

int run_inspect(Call& call) {
  const std::string file = call.args.text("FILE");
  Table import = import_of(call.args, file);
  for (const char* name : {"format", "tag"})
    if (call.args.has(name)) import[name] = Value{call.args.text(name)};
  if (file == "-" && call.args.has("profile"))
    throw invalid("the standard input can be read only once, and --profile reads it again", "write it to a file first");

  Told told;
  Activity activity("reading", call.out.json());
  const auto show = activity.bytes();
  SourceView view(call.services, call.stop, [&](const Progress& p) {
    if (p.unit == Progress::Unit::bytes) show(static_cast<std::uint64_t>(p.done), static_cast<std::uint64_t>(p.total));
  });
  if (const Format* format = plain_format(call, file)) {
    told = tell_plain(call, *format, file);
  } else {
    const auto step = import_step(call, import);
    if (!step) return static_cast<int>(Failure::invalid);
    view.look(*step);
    told = tell_source(view);
  }
  activity.end();
  for (const std::string& warning : view.warnings) print_warning(warning);
  if (call.args.has("profile"))
    for (Finding& finding : look_into_guest(call, import)) told.of.findings.push_back(std::move(finding));
  Json json = to_json(told, file);
  if (!call.out.json()) print(call.out, told);
  if (call.args.has("digest")) tell_digest(call, *told.disk, json);
  if (call.out.json()) call.out.object(json);
  return call.args.has("profile") && has_errors(told.of.findings) ? static_cast<int>(Failure::invalid) : 0;
}

}  // namespace kiln::cli
