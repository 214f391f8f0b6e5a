// kiln image verify: stored content against its digests.
#include <map>
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

/// What is the same of many chunks, in one line: a pack that was cut off would fill a terminal for hours.
std::vector<std::string> by_file(const std::vector<DamagedChunk>& damaged) {
  struct Group {
    std::size_t chunks = 0;
    std::string first;
    std::set<std::string> images;
  };
  std::map<std::pair<std::string, std::string>, Group> groups;  // by file and reason
  for (const DamagedChunk& chunk : damaged) {
    Group& group = groups[{chunk.file.string(), chunk.reason}];
    group.images.insert(chunk.images.begin(), chunk.images.end());
    if (chunk.digest.is_zero_chunk()) continue;
    if (group.chunks++ == 0) group.first = to_hex(chunk.digest).substr(0, 12);
  }
  std::vector<std::string> lines;
  for (const auto& [key, group] : groups) {
    std::string line = key.first.empty() ? "" : key.first + ": ";
    if (group.chunks == 1) line += "chunk " + group.first + ": ";
    if (group.chunks > 1) line += fmt::format("{} chunks, {} the first: ", grouped(group.chunks), group.first);
    line += key.second;
    if (!group.images.empty()) line += fmt::format(" (in {})", listed({group.images.begin(), group.images.end()}));
    lines.push_back(line);
  }
  return lines;
}

Error damage_in(const VerifyReport& report, const std::string& reference) {
  std::set<std::string> keepers;
  std::size_t chunks = 0;
  for (const DamagedChunk& chunk : report.damaged) {
    keepers.insert(chunk.keepers.begin(), chunk.keepers.end());
    chunks += chunk.digest.is_zero_chunk() ? 0 : 1;
  }
  const std::string what = chunks == 0 ? fmt::format("{} is damaged", reference)
                                       : fmt::format("{} chunks of {} are damaged or lost", grouped(chunks), reference);
  return Error(what,
               "mend them: kiln image repair --from REGION; or publish the images again from their sources: " +
                   listed({keepers.begin(), keepers.end()}),
               by_file(report.damaged));
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
  throw damage_in(report, reference);
}

}  // namespace kiln::cli
