// kiln capture: the pipeline capture → publish, with sysprep between when asked for, made from the command line.
#include <filesystem>

#include <fmt/format.h>

#include "cli/pipelines.h"

namespace kiln::cli {
namespace {

Table capture_of(const Args& args) {
  Table capture;
  if (args.has("INSTANCE")) capture["instance"] = Value{args.text("INSTANCE")};
  for (const char* text : {"domain", "connect"})
    if (args.has(text)) capture[text] = Value{args.text(text)};
  for (const char* path : {"qmp", "agent", "scratch"})
    if (args.has(path)) capture[path] = Value{std::filesystem::absolute(args.text(path)).string()};
  if (args.has("require")) capture["require"] = Value{args.text("require")};
  if (args.has("with-memory")) capture["with_memory"] = Value{true};
  if (args.has("freeze-limit")) capture["freeze_limit"] = Value{args.text("freeze-limit")};
  return capture;
}

Table publish_of(const Args& args) {
  const std::string name = args.text("name");
  const std::size_t colon = name.find(':');
  Table publish{{"image", Value{name.substr(0, colon)}}};
  if (colon != std::string::npos) publish["version"] = Value{name.substr(colon + 1)};
  if (args.has("channel")) publish["channel"] = Value{args.text("channel")};
  return publish;
}

std::string fact(const Facts& facts, const char* name) {
  const auto it = facts.find(name);
  return it == facts.end() ? "" : it->second;
}

/// "web:1  quiesced, frozen for 31 ms; 1.5 GiB, 40 MiB stored  sha256:…"
std::string sum_up(const ImageEntry& entry, const std::string& reference, const Facts& facts) {
  const std::string frozen = fact(facts, "capture.freeze_ms"), still = fact(facts, "memory.still_ms");
  std::string how = fact(facts, "capture.consistency");
  if (!frozen.empty()) how += ", frozen for " + frozen + " ms";
  if (facts.contains("memory.board")) how += ", with its memory";
  if (!still.empty()) how += ", stood still for " + still + " ms";
  return fmt::format("{}  {}; {}, {} stored  sha256:{}", printable(reference), how,
                     format_bytes(entry.image.total_size()), format_bytes(entry.image.stored_bytes),
                     to_hex(entry.image.content));
}

}  // namespace

int run_capture(Call& call) {
  if (!call.args.has("name")) throw invalid("kiln capture: --name is missing", "kiln capture INSTANCE --name NAME");
  if (call.args.has("INSTANCE") + call.args.has("domain") + call.args.has("qmp") != 1)
    throw invalid("kiln capture takes an instance, a domain of libvirt's, or the QMP socket of another machine",
                  "kiln capture INSTANCE --name NAME, or --domain NAME or --qmp SOCKET instead of the instance");
  if (call.args.has("with-memory") && call.args.has("generalize"))
    throw invalid("--with-memory and --generalize do not go together: the memory would be of another disk",
                  "give one of them");
  std::vector<engine::StageCall> stages{{"capture", capture_of(call.args)}};
  if (call.args.has("generalize")) stages.push_back({"sysprep", {}});
  stages.push_back({"publish", publish_of(call.args)});
  // A machine that did not change since makes a version of its own all the same.
  const auto result = run_short(call, "capture", stages, {"publish"});
  if (!result) return static_cast<int>(Failure::invalid);
  const std::string reference = fact(result->facts, "image.reference");
  if (!call.out.json() && !reference.empty())
    call.out.line(sum_up(call.services.catalog().show(reference), reference, result->facts));
  return 0;
}

}  // namespace kiln::cli
