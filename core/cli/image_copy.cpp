// kiln image copy, sync: images to other regions, and back.
#include <chrono>
#include <optional>

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
  if (report.was_there && report.state_changed)
    text += fmt::format("was there already, and is {} now", to_text(report.image.state()));
  else if (report.was_there)
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
          {"state", to_text(report.image.state())},
          {"state_changed", report.state_changed},
          {"chunks_moved", report.moved_chunks},
          {"chunks_resumed", report.resumed_chunks},
          {"chunks_there", report.all_chunks - report.moved_chunks - report.resumed_chunks},
          {"bytes_moved", report.moved_bytes},
          {"bytes_resumed", report.resumed_bytes}};
}

using CopyOne = CopyReport (*)(const Region& from, const std::string& reference, Region& to, const CopyOptions&);

struct Answers {
  std::vector<std::string> done, failed, warnings;
  std::optional<Error> first;  ///< of failed
  Json copies = Json::array();
};

/// To each region in turn. One that fails does not keep the others from theirs.
Answers copy_to_each(Call& call, const std::string& reference, const std::string& channel, CopyOne copy) {
  const auto from = open_region(call.services, call.args.text("from", home_region));
  Answers answers;
  const auto admit_original = [&](const ImageEntry& original) {
    answers.warnings = admit(call.services.home(), call.services.catalog().view(), original);
  };
  for (const std::string& name : call.args.all("to")) {
    const auto started = std::chrono::steady_clock::now();
    Activity activity("to " + name, call.out.json());
    try {
      const auto region = open_region(call.services, name);
      const CopyReport report =
          copy(*from, reference, *region,
               {.admit = admit_original, .channel = channel, .stop = call.stop, .progress = activity.bytes()});
      answers.done.push_back(sentence(report, channel, Seconds(std::chrono::steady_clock::now() - started).count()));
      answers.copies.push_back(to_json(report));
    } catch (const Error& error) {
      if (!answers.first) answers.first = error;
      answers.failed.push_back(name + ": " + error.what());
      if (is_cancelled(error)) break;
    }
  }
  return answers;
}

int copy_to_all(Call& call, const std::string& reference, const std::string& channel, CopyOne copy) {
  if (call.args.all("to").empty()) throw invalid("kiln image: --to is missing", "see where to: kiln region list");
  const Answers answers = copy_to_each(call, reference, channel, copy);
  if (answers.first) {
    std::vector<std::string> evidence = answers.first->evidence();
    for (std::size_t i = 1; i < answers.failed.size(); ++i) evidence.push_back("failed, too: " + answers.failed[i]);
    for (const std::string& text : answers.done) evidence.push_back("done: " + text);
    throw Error(answers.first->what(), answers.first->hint(), evidence, answers.first->failure());
  }
  if (call.out.json()) {
    call.out.object({{"copies", answers.copies}, {"warnings", answers.warnings}});
    return 0;
  }
  for (const std::string& warning : answers.warnings) print_warning(warning);
  for (const std::string& text : answers.done) call.out.line(printable(text));
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
