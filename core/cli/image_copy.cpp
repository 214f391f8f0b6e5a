// kiln image copy, sync: images to other regions, and back.
#include <chrono>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/region/copy.h"
#include "cli/activity.h"
#include "cli/admission.h"
#include "cli/errors.h"
#include "cli/image_answers.h"
#include "cli/regions.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

using Seconds = std::chrono::duration<double>;

std::string sentence(const CopyReport& report, const std::string& channel, double seconds) {
  std::string text = fmt::format("{} in {}: ", full_reference(report.image), report.region);
  if (report.was_there)
    text += "was there already, nothing moved";
  else
    text += fmt::format("{} of {} chunks moved, {} in {:.1f} s", grouped(report.moved_chunks),
                        grouped(report.all_chunks), format_bytes(report.moved_bytes), seconds);
  if (report.resumed_chunks > 0)
    text += fmt::format("; {} ({}) had been moved before", grouped(report.resumed_chunks),
                        format_bytes(report.resumed_bytes));
  if (report.channel_moved)
    text += fmt::format("; {}:{} is {}", report.image.image.name, channel, report.image.image.version);
  return text;
}

Json to_json(const CopyReport& report) {
  return {{"region", report.region},
          {"image", full_reference(report.image)},
          {"id", report.image.image.id},
          {"content", "sha256:" + to_hex(report.image.image.content)},
          {"was_there", report.was_there},
          {"channel_moved", report.channel_moved},
          {"chunks_moved", report.moved_chunks},
          {"chunks_resumed", report.resumed_chunks},
          {"chunks_there", report.all_chunks - report.moved_chunks - report.resumed_chunks},
          {"bytes_moved", report.moved_bytes},
          {"bytes_resumed", report.resumed_bytes}};
}

using CopyOne = CopyReport (*)(const Region& from, const std::string& reference, Region& to, const CopyOptions&);

/// To each region in turn; one that fails ends it, and the error says which ones are done.
int copy_to_all(Call& call, const std::string& reference, const std::string& channel, CopyOne copy) {
  const std::vector<std::string>& to = call.args.all("to");
  if (to.empty()) throw invalid("kiln image: --to is missing", "see where to: kiln region list");
  const auto from = open_region(call.services, call.args.text("from", home_region));
  std::vector<std::string> sentences;
  Json copies = Json::array();
  std::vector<std::string> warnings;
  const auto admit_original = [&](const ImageEntry& original) {
    warnings = admit(call.services.home(), call.services.catalog().view(), original);
  };
  for (const std::string& name : to) {
    const auto started = std::chrono::steady_clock::now();
    Activity activity("to " + name, call.out.json());
    try {
      const auto region = open_region(call.services, name);
      const CopyReport report =
          copy(*from, reference, *region,
               {.admit = admit_original, .channel = channel, .stop = call.stop, .progress = activity.bytes()});
      sentences.push_back(sentence(report, channel, Seconds(std::chrono::steady_clock::now() - started).count()));
      copies.push_back(to_json(report));
    } catch (const Error& error) {
      std::vector<std::string> evidence = error.evidence();
      for (const std::string& done : sentences) evidence.push_back("done: " + done);
      throw Error(error.what(), error.hint(), evidence, error.failure());
    }
  }
  if (call.out.json()) {
    call.out.object({{"copies", copies}, {"warnings", warnings}});
    return 0;
  }
  for (const std::string& warning : warnings) print_warning(warning);
  for (const std::string& text : sentences) call.out.line(printable(text));
  return 0;
}

CopyReport copy_one(const Region& from, const std::string& reference, Region& to, const CopyOptions& options) {
  return copy_image(from, from.resolve(reference, Action::copy), to, options);
}

CopyReport sync_one(const Region& from, const std::string& reference, Region& to, const CopyOptions& options) {
  return sync_channel(from, reference, to, options);
}

}  // namespace

int run_image_copy(Call& call) {
  return copy_to_all(call, call.args.text("IMAGE"), "", copy_one);
}

int run_image_sync(Call& call) {
  const std::string reference = call.args.text("NAME:CHANNEL");
  return copy_to_all(call, reference, reference.substr(reference.find(':') + 1), sync_one);
}

}  // namespace kiln::cli
