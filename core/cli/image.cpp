// kiln image list, show, verify, rm: the images that were published.
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Json to_json(const ImageEntry& entry) {
  const Image& image = entry.image;
  return {{"id", image.id},
          {"name", image.name},
          {"version", image.version},
          {"channels", entry.channels},
          {"content", "sha256:" + to_hex(image.content)},
          {"virtual_size", image.virtual_size},
          {"stored_bytes", image.stored_bytes},
          {"created", image.created},
          {"facts", image.facts}};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

Json to_json(const DamagedChunk& chunk) {
  return {{"digest", "sha256:" + to_hex(chunk.digest)},
          {"file", chunk.file.string()},
          {"offset", chunk.offset},
          {"reason", chunk.reason},
          {"images", chunk.images},
          {"keepers", chunk.keepers}};
}

}  // namespace

int run_image_list(Call& call) {
  std::vector<ImageEntry> entries = call.services.catalog().list();
  if (call.args.has("NAME"))
    std::erase_if(entries, [&](const ImageEntry& e) { return e.image.name != call.args.text("NAME"); });
  if (call.out.json()) {
    Json images = Json::array();
    for (const ImageEntry& entry : entries) images.push_back(to_json(entry));
    call.out.object({{"images", images}});
    return 0;
  }
  if (entries.empty()) {
    call.out.line("no images; make one with: kiln build FILE, or kiln import FILE --name NAME");
    return 0;
  }
  TextTable table{{"NAME", "VERSION", "CHANNELS", ">SIZE", ">STORED", ">AGE"}};
  for (const ImageEntry& entry : entries)
    table.rows.push_back({entry.image.name, entry.image.version, joined(entry.channels),
                          format_bytes(entry.image.virtual_size), format_bytes(entry.image.stored_bytes),
                          age_of(entry.image.created)});
  call.out.table(table);
  return 0;
}

int run_image_show(Call& call) {
  const ImageEntry entry = call.services.catalog().show(call.args.text("IMAGE"));
  if (call.out.json()) {
    call.out.object(to_json(entry));
    return 0;
  }
  const Image& image = entry.image;
  std::vector<std::pair<std::string, std::string>> rows = {
      {"image", image.name + ":" + image.version},
      {"id", image.id},
      {"channels", joined(entry.channels)},
      {"content", "sha256:" + to_hex(image.content)},
      {"virtual size", format_bytes(image.virtual_size)},
      {"stored", format_bytes(image.stored_bytes)},
      {"created", fmt::format("{} ({} ago)", image.created, age_of(image.created))}};
  for (const auto& [name, value] : image.facts) rows.emplace_back(name, value);
  std::size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, width_of(printable(name)));
  for (const auto& [name, value] : rows)
    if (!value.empty()) call.out.line(fmt::format("{}  {}", pad(printable(name), width), printable(value)));
  return 0;
}

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
                                   chunk.file.string(), chunk.reason, joined(chunk.images)));
  }
  throw Error(fmt::format("{} of {} chunks of {} are damaged", report.damaged.size(), report.chunks, reference),
              "remove every image that keeps the damaged packs, then publish them again from their sources: " +
                  joined({keepers.begin(), keepers.end()}),
              evidence);
}

int run_image_rm(Call& call) {
  const Removal removal = call.services.machines().remove_image(call.args.text("IMAGE"));
  const std::string name = removal.image.name + ":" + removal.image.version;
  if (call.out.json())
    call.out.object({{"removed", name}, {"freed_bytes", removal.bytes_freed}, {"postponed", removal.postponed}});
  else
    call.out.line(fmt::format("removed {}, {}", printable(name),
                              removal.postponed ? "its space is freed when the publish that runs now is done"
                                                : format_bytes(removal.bytes_freed) + " freed"));
  return 0;
}

}  // namespace kiln::cli
