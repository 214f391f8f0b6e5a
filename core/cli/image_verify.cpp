// kiln image verify: stored content against its digests.
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Json to_json(const DamagedChunk& chunk) {
  return {{"digest", "sha256:" + to_hex(chunk.digest)},
          {"file", chunk.file.string()},
          {"offset", chunk.offset},
          {"reason", chunk.reason},
          {"images", chunk.images},
          {"keepers", chunk.keepers}};
}

}  // namespace

int run_image_verify(Call& call) {
  const bool all = !call.args.has("IMAGE");
  const std::string reference = all ? "the whole store" : call.args.text("IMAGE");
  Activity activity("verifying", call.out.json());
  VerifyOptions options{.stop = call.stop, .progress = activity.bytes()};
  const VerifyReport report =
      all ? call.services.catalog().verify({}, options) : call.services.catalog().verify(reference, options);
  activity.end();
  if (call.out.json()) {
    Json damaged = Json::array();
    for (const DamagedChunk& chunk : report.damaged) damaged.push_back(to_json(chunk));
    call.out.object({{"image", all ? Json(nullptr) : Json(reference)},
                     {"ok", report.damaged.empty()},
                     {"chunks", report.chunks},
                     {"bytes", report.bytes},
                     {"damaged", damaged}});
    return report.damaged.empty() ? 0 : static_cast<int>(Failure::failed);
  }
  if (report.damaged.empty()) {
    call.out.line(fmt::format("{}: {} chunks, {} read, all as they were published", printable(reference),
                              grouped(report.chunks), format_bytes(report.bytes)));
    return 0;
  }
  std::vector<std::string> evidence;
  std::set<std::string> keepers;
  for (const DamagedChunk& chunk : report.damaged) {
    keepers.insert(chunk.keepers.begin(), chunk.keepers.end());
    evidence.push_back(fmt::format("{} at {} of {}: {} (in {})", to_hex(chunk.digest).substr(0, 12), chunk.offset,
                                   chunk.file.string(), chunk.reason, listed(chunk.images)));
  }
  throw Error(fmt::format("{} of {} chunks of {} are damaged", report.damaged.size(), report.chunks, reference),
              "mend them: kiln image repair --from REGION; or remove every image that keeps the damaged packs, then "
              "publish them again "
              "from their sources: " +
                  listed({keepers.begin(), keepers.end()}),
              evidence);
}

}  // namespace kiln::cli
