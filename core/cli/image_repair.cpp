// kiln image repair: mends stored content from a region that has the same.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/region/repair.h"
#include "cli/activity.h"
#include "cli/output.h"
#include "cli/regions.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

void answer(Output& out, const std::string& reference, const std::string& from, const RepairReport& report) {
  if (report.damaged == 0)
    out.line(fmt::format("{}: nothing is damaged", printable(reference)));
  else
    out.line(fmt::format("{}: mended; {} chunks and {} manifests fetched from {}, {} packs written anew",
                         printable(reference), grouped(report.fetched_chunks), report.manifests, from,
                         report.new_packs));
}

}  // namespace

int run_image_repair(Call& call) {
  if (!call.args.has("from"))
    throw invalid("kiln image repair: --from is missing", "see which regions there are: kiln region list");
  const bool all = !call.args.has("IMAGE");
  const std::string reference = all ? "the whole store" : call.args.text("IMAGE");
  const auto from = open_region(call.services, call.args.text("from"));
  Activity activity("repairing", call.out.json());
  const VerifyOptions options{.stop = call.stop, .progress = activity.bytes()};
  LocalCatalog& catalog = call.services.catalog();
  const RepairReport report = all ? repair(catalog, {}, *from, options) : repair(catalog, reference, *from, options);
  activity.end();
  if (call.out.json()) {
    call.out.object({{"image", all ? Json(nullptr) : Json(reference)},
                     {"ok", report.left.empty()},
                     {"damaged", report.damaged},
                     {"chunks_fetched", report.fetched_chunks},
                     {"manifests_fetched", report.manifests},
                     {"packs_written", report.new_packs},
                     {"left", report.left}});
    return report.left.empty() ? 0 : static_cast<int>(Failure::failed);
  }
  if (!report.left.empty())
    throw Error(fmt::format("not all of {} could be mended from region \"{}\"", reference, from->name()),
                "try another region: kiln region list", report.left);
  answer(call.out, reference, from->name(), report);
  return 0;
}

}  // namespace kiln::cli
