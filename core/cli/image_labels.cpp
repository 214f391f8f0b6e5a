// kiln image promote, rollback, channel, tag: what people attach to images to find them again.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <kiln/text.h>

#include "catalog/labels.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

/// Who asks, and is to be able to type what the answer says.
std::string account_of(Call& call) {
  return call.services.catalog().view().account().name;
}

}  // namespace

int run_image_promote(Call& call) {
  const std::string channel = call.args.text("CHANNEL");
  const ImageEntry entry = Labels(call.services.catalog().view()).promote(call.args.text("IMAGE"), channel);
  answer_image(
      call.out, entry,
      fmt::format("{}:{} is {}", entry.name_for(account_of(call)), channel, entry.reference_for(account_of(call))));
  return 0;
}

int run_image_rollback(Call& call) {
  const std::string channel = call.args.text("CHANNEL");
  const ImageEntry entry = Labels(call.services.catalog().view()).roll_back(call.args.text("NAME"), channel);
  answer_image(call.out, entry,
               fmt::format("{}:{} is {} again", entry.name_for(account_of(call)), channel,
                           entry.reference_for(account_of(call))));
  return 0;
}

int run_image_channel(Call& call) {
  const std::string name = call.args.text("NAME"), channel = call.args.text("CHANNEL");
  Labels labels(call.services.catalog().view());
  if (call.args.has("remove")) {
    labels.remove_channel(name, channel);
    if (call.out.json())
      call.out.object({{"name", name}, {"channel", channel}, {"removed", true}});
    else
      call.out.line(printable(fmt::format("{}:{} points nowhere any longer", name, channel)));
    return 0;
  }
  const std::vector<ChannelMove> moves = labels.history(name, channel);
  if (moves.empty())
    throw invalid(fmt::format("image \"{}\" has no channel \"{}\"", name, channel),
                  fmt::format("kiln image promote {}:VERSION {}", name, channel));
  if (call.out.json()) {
    Json history = Json::array();
    for (const ChannelMove& move : moves)
      history.push_back({{"version", move.version.empty() ? Json(nullptr) : Json(move.version)},
                         {"id", move.image.empty() ? Json(nullptr) : Json(move.image)},
                         {"moved", move.moment},
                         {"by", move.actor}});
    call.out.object({{"name", name}, {"channel", channel}, {"history", history}});
    return 0;
  }
  TextTable table{{"VERSION", "MOVED", "BY"}};
  for (const ChannelMove& move : moves)
    table.rows.push_back({move.version.empty() ? "(removed)" : move.version, move.moment, move.actor});
  call.out.table(table);
  return 0;
}

int run_image_tag(Call& call) {
  const Args& args = call.args;
  Labels::Edit edit{
      .add_tags = args.all("add"), .remove_tags = args.all("remove"), .properties = {}, .description = {}};
  for (const auto& [name, value] : args.pairs("set")) edit.properties[name] = value;
  for (const std::string& name : args.all("unset"))
    if (!edit.properties.emplace(name, std::nullopt).second)
      throw invalid(fmt::format("\"{}\" is both set and unset", name), "give it once");
  if (args.has("description")) edit.description = args.text("description");
  if (edit.add_tags.empty() && edit.remove_tags.empty() && edit.properties.empty() && !edit.description)
    throw invalid("kiln image tag: nothing to change is given",
                  "kiln image tag IMAGE --add TAG, --remove TAG, --set KEY=VALUE, --unset KEY, --description TEXT");
  const ImageEntry entry = Labels(call.services.catalog().view()).edit(args.text("IMAGE"), edit);
  std::vector<std::string> words = entry.tags;
  for (const auto& [name, value] : entry.properties) words.push_back(name + "=" + value);
  answer_image(call.out, entry,
               fmt::format("{}  {}", entry.reference_for(account_of(call)),
                           words.empty() ? "no tags, no properties" : listed(words)));
  return 0;
}

}  // namespace kiln::cli
