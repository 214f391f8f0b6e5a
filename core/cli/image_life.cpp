// kiln image deprecate, revoke, protect, public, rm, restore: what becomes of an image.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/life.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Life life_of(Call& call) {
  return Life(call.services.catalog().view());
}

/// --undo takes back all of it: what else is given would be lost without a word.
void require_alone(const Args& args, std::string_view verb, const std::vector<std::string_view>& others) {
  for (const std::string_view other : others)
    if (args.has(other))
      throw invalid(fmt::format("kiln {}: --undo and --{} do not go together", verb, other), "leave one of them out");
}

/// "is deprecated", or from when on it will be.
std::string from(std::string_view state, const Moment& at) {
  return at <= now_moment() ? fmt::format("is {}", state) : fmt::format("will be {} at {}", state, at);
}

int remove_for_good(Call& call) {
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

/// The end of a term such as "7d".
Moment end_of_term(const std::string& term) {
  try {
    return parse_moment("+" + term);
  } catch (const Error&) {
    throw invalid(fmt::format("--for takes a number of days or hours, not \"{}\"", term), "for example --for 30d");
  }
}

}  // namespace

int run_image_deprecate(Call& call) {
  const Args& args = call.args;
  const std::string image = args.text("IMAGE");
  if (args.has("undo")) {
    require_alone(args, "image deprecate", {"at", "obsolete", "replacement"});
    const ImageEntry entry = life_of(call).undeprecate(image);
    answer_image(call.out, entry, fmt::format("{} is {}", entry.reference(), to_text(entry.state())));
    return 0;
  }
  const Moment at = parse_moment(args.text("at", "now"));
  const Moment obsolete = args.has("obsolete") ? parse_moment(args.text("obsolete")) : Moment();
  const ImageEntry entry = life_of(call).deprecate(image, at, obsolete, args.text("replacement"));
  std::string sentence = fmt::format("{} {}", entry.reference(), from("deprecated", at));
  if (!obsolete.empty()) sentence += fmt::format(", and {}", from("obsolete", obsolete));
  if (!entry.life.replacement.empty()) sentence += fmt::format("; use {} instead", entry.life.replacement);
  answer_image(call.out, entry, sentence);
  return 0;
}

int run_image_revoke(Call& call) {
  const Args& args = call.args;
  const std::string image = args.text("IMAGE");
  if (args.has("undo")) {
    require_alone(args, "image revoke", {"at", "reason"});
    const ImageEntry entry = life_of(call).unrevoke(image);
    answer_image(call.out, entry, fmt::format("{} is {}", entry.reference(), to_text(entry.state())));
    return 0;
  }
  if (args.text("reason").empty())
    throw invalid("kiln image revoke: --reason is missing", "say why, for those whose machines run it: --reason TEXT");
  const Moment at = parse_moment(args.text("at", "now"));
  const ImageEntry entry = life_of(call).revoke(image, at, args.text("reason"));
  const std::size_t children = life_of(call).descendants(entry.image.id).images.size();
  std::string sentence = fmt::format("{} {}", entry.reference(), from("revoked", at));
  if (children > 0)
    sentence += fmt::format(", and with it {} {} built from it", children, children == 1 ? "image" : "images");
  answer_image(call.out, entry, sentence);
  return 0;
}

int run_image_protect(Call& call) {
  const bool on = !call.args.has("off");
  const ImageEntry entry = life_of(call).protect(call.args.text("IMAGE"), on);
  answer_image(call.out, entry,
               fmt::format("{} {}", entry.reference(), on ? "is protected" : "is not protected any longer"));
  return 0;
}

int run_image_public(Call& call) {
  const bool on = !call.args.has("off");
  const ImageEntry entry = life_of(call).open_up(call.args.text("IMAGE"), on);
  answer_image(
      call.out, entry,
      fmt::format("{} {}", entry.reference(), on ? "is public: every account sees it" : "is not public any longer"));
  return 0;
}

int run_image_rm(Call& call) {
  if (call.args.has("now")) {
    if (call.args.has("for"))
      throw invalid("kiln image rm: --now and --for do not go together", "leave one of them out");
    return remove_for_good(call);
  }
  const Moment purge_at = end_of_term(call.args.text("for", "7d"));
  const ImageEntry entry = call.services.machines().trash_image(call.args.text("IMAGE"), purge_at);
  answer_image(call.out, entry,
               fmt::format("{} is in the trash until {}; kiln image restore {} brings it back", entry.reference(),
                           purge_at, entry.reference()));
  return 0;
}

int run_image_restore(Call& call) {
  const ImageEntry entry = life_of(call).restore(call.args.text("IMAGE"));
  answer_image(call.out, entry, fmt::format("{} is {} again", entry.reference(), to_text(entry.state())));
  return 0;
}

}  // namespace kiln::cli
