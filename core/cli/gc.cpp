// kiln gc: frees what no image, publish or copy needs, and says of each thing why it goes or has to wait.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/collection.h"
#include "cli/output.h"
#include "cli/regions.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

std::string_view kind_of(const Collectable& item) {
  switch (item.kind) {
    case Collectable::Kind::image:
      return "image";
    case Collectable::Kind::disk:
      return "disk";
    case Collectable::Kind::pack:
      return "pack";
    case Collectable::Kind::lease:
      return "lease";
    case Collectable::Kind::file:
      return "file";
    case Collectable::Kind::chunks:
      return "chunks";
  }
  return "";
}

void print(Output& out, const Collected& collected, bool dry_run) {
  if (collected.items.empty()) {
    out.line("nothing to collect");
    return;
  }
  TextTable table{{"WHAT", "NAME", "", ">BYTES", "WHY"}};
  for (const Collectable& item : collected.items)
    table.rows.push_back({std::string(kind_of(item)), item.name.substr(0, 40),
                          item.waits ? "waits"
                          : dry_run  ? "would go"
                                     : "gone",
                          item.bytes > 0 ? format_bytes(item.bytes) : "", item.why});
  out.table(table);
  out.line(fmt::format("{} {}{}", format_bytes(collected.bytes), dry_run ? "would be freed" : "freed",
                       collected.postponed ? "; what waits goes when what runs now is done" : ""));
}

}  // namespace

int run_gc(Call& call) {
  const bool dry_run = call.args.has("dry-run");
  const std::string lost = call.args.text("forget-home");
  if (!lost.empty() && dry_run)
    throw invalid("kiln gc: --forget-home and --dry-run do not go together", "leave one of them out");
  const std::string place = call.args.text("region", home_region);
  const OpenedRegion region = open_place(call.services, place);
  if (!lost.empty() && region.bucket)
    throw invalid("region " + region.bucket->name() + " is a bucket: nothing is launched from it", "leave it out");
  const std::size_t forgotten = lost.empty() ? 0 : region.folder->forget_home(lost);
  if (!dry_run && place == home_region) call.services.machines().record_uses();
  const Collected collected =
      region.bucket ? region.bucket->collect(dry_run) : region.folder->collect({.dry_run = dry_run});
  if (!call.out.json()) {
    if (forgotten > 0) call.out.line(fmt::format("instances of {} that are forgotten: {}", lost, forgotten));
    print(call.out, collected, dry_run);
    return 0;
  }
  Json items = Json::array();
  for (const Collectable& item : collected.items)
    items.push_back({{"kind", kind_of(item)},
                     {"name", item.name},
                     {"bytes", item.bytes},
                     {"why", item.why},
                     {"waits", item.waits}});
  call.out.object({{"items", items},
                   {"packs", collected.packs},
                   {"freed_bytes", collected.bytes},
                   {"postponed", collected.postponed},
                   {"forgotten_instances", forgotten},
                   {"dry_run", dry_run}});
  return 0;
}

}  // namespace kiln::cli
