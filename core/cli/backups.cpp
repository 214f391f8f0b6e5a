#include "cli/backups.h"

#include "cli/pipelines.h"
#include "cli/services.h"

namespace kiln::cli {

std::string backup_name(const Args& args, const std::string& instance) {
  return args.has("name") ? args.text("name") : instance + "-backup";
}

ImageEntry find_backup(Call& call, const std::string& instance) {
  const std::string to = call.args.text("to");
  const bool is_image = to.find_first_of(":/") != std::string::npos;
  const std::string own = backup_name(call.args, instance);
  const std::string reference = is_image ? to : to.empty() ? own : own + ":" + to;
  try {
    return call.services.catalog().show(reference, Action::launch);
  } catch (const Error& error) {
    if (is_image || error.failure() != Failure::invalid) throw;
    throw invalid("instance \"" + instance + "\" has no backup" + (to.empty() ? "" : " \"" + to + "\""),
                  "see what there is: kiln image list, make one: kiln backup " + instance +
                      ", or name any image: --to NAME:VERSION",
                  {error.what()});
  }
}

std::optional<ImageEntry> capture_as(Call& call, const std::string& title, const std::string& instance,
                                     const std::string& image) {
  Table capture{{"instance", Value{instance}}};
  if (call.args.has("require")) capture["require"] = Value{call.args.text("require")};
  // A machine that did not change since makes a version of its own all the same.
  const auto result =
      run_short(call, title, {{"capture", capture}, {"publish", {{"image", Value{image}}}}}, {"publish"});
  if (!result) return std::nullopt;
  return call.services.catalog().show(result->facts.at("image.reference"));
}

}  // namespace kiln::cli
