// kiln image deprecate, revoke, protect, public, rm, restore: what becomes of an image.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/life.h"
#include "cli/image_answers.h"
#include "cli/regions.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Life life_of(Call& call) {
  return Life(call.services.catalog().view());
}

/// Who asks, and is to be able to type what the answer says.
std::string account_of(Call& call) {
  return call.services.catalog().view().account().name;
}

std::string named(Call& call, const ImageEntry& entry) {
  return entry.reference_for(account_of(call));
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

int answer_removal(Call& call, const Removal& removal) {
  const std::string name = removal.image.name + ":" + removal.image.version;
  if (call.out.json())
    call.out.object({{"removed", name}, {"freed_bytes", removal.bytes_freed}, {"postponed", removal.postponed}});
  else
    call.out.line(fmt::format("removed {}, {}", printable(name),
                              removal.postponed ? "its space is freed when the publish that runs now is done"
                                                : format_bytes(removal.bytes_freed) + " freed"));
  return 0;
}

int remove_from_bucket(Call& call, BucketRegion& region) {
  if (call.args.has("for"))
    throw invalid(fmt::format("region {} is a bucket, which has no trash", region.name()),
                  "leave --for out: the image is removed at once, and for good");
  const ImageEntry entry = region.remove(call.args.text("IMAGE"));
  if (call.out.json())
    call.out.object(
        {{"removed", entry.reference()}, {"region", region.name()}, {"freed_bytes", 0}, {"postponed", true}});
  else
    call.out.line(fmt::format("removed {} from {} for good: a bucket has no trash; kiln gc --region {} frees its space",
                              printable(full_reference(entry)), region.name(), region.name()));
  return 0;
}

/// Whether it is about another region than the home's own catalog.
bool is_elsewhere(const Args& args) {
  return args.has("region") && args.text("region") != home_region;
}

/// The end of a term such as "7d".
Moment end_of_term(const std::string& term) {
  const Moment now = now_moment(), longest = parse_moment("+3660d");
  Moment end;
  try {
    end = parse_moment("+" + term);
  } catch (const Error&) {
    throw invalid(fmt::format("--for takes a number of days or hours, not \"{}\"", term), "for example --for 30d");
  }
  // The next collection would take it, though the answer promised that it can be brought back.
  if (end <= now)
    throw invalid(fmt::format("--for {} is no time at all", term), "to remove it for good: kiln image rm IMAGE --now");
  if (end > longest) throw invalid(fmt::format("--for {} is more than ten years", term), "for example --for 30d");
  return end;
}

}  // namespace

int run_image_deprecate(Call& call) {
  const Args& args = call.args;
  const std::string image = args.text("IMAGE");
  if (args.has("undo")) {
    require_alone(args, "image deprecate", {"at", "obsolete", "replacement"});
    const ImageEntry entry = life_of(call).undeprecate(image);
    answer_image(call.out, entry, fmt::format("{} is {}", named(call, entry), to_text(entry.state())));
    return 0;
  }
  const Moment at = args.has("at") ? parse_moment(args.text("at")) : Moment();
  const Moment obsolete = args.has("obsolete") ? parse_moment(args.text("obsolete")) : Moment();
  const ImageEntry entry = life_of(call).deprecate(image, at, obsolete, args.text("replacement"));
  std::string sentence = fmt::format("{} {}", named(call, entry), from("deprecated", entry.life.deprecated_at));
  if (!entry.life.obsolete_at.empty()) sentence += fmt::format(", and {}", from("obsolete", entry.life.obsolete_at));
  if (!entry.life.replacement.empty())
    sentence += fmt::format("; use {} instead", entry.replacement_for(account_of(call)));
  answer_image(call.out, entry, sentence);
  return 0;
}

int run_image_revoke(Call& call) {
  const Args& args = call.args;
  const std::string image = args.text("IMAGE");
  if (args.has("undo")) {
    require_alone(args, "image revoke", {"at", "reason"});
    const ImageEntry entry = life_of(call).unrevoke(image);
    const char* why = entry.life.ancestor_revoked ? ", because an image that it was built from is" : "";
    answer_image(call.out, entry, fmt::format("{} is {}{}", named(call, entry), to_text(entry.state()), why));
    return 0;
  }
  if (args.text("reason").empty())
    throw invalid("kiln image revoke: --reason is missing", "say why, for those whose machines run it: --reason TEXT");
  const Moment at = parse_moment(args.text("at", "now"));
  const ImageEntry entry = life_of(call).revoke(image, at, args.text("reason"));
  const std::size_t children = life_of(call).descendants(entry.image.id).images.size();
  std::string sentence = fmt::format("{} {}", named(call, entry), from("revoked", at));
  if (children > 0)
    sentence += fmt::format(", and with it {} {} built from it", children, children == 1 ? "image" : "images");
  answer_image(call.out, entry, sentence);
  return 0;
}

int run_image_protect(Call& call) {
  const bool on = !call.args.has("off");
  const ImageEntry entry = life_of(call).protect(call.args.text("IMAGE"), on);
  answer_image(call.out, entry,
               fmt::format("{} {}", named(call, entry), on ? "is protected" : "is not protected any longer"));
  return 0;
}

int run_image_public(Call& call) {
  const bool on = !call.args.has("off");
  const ImageEntry entry = life_of(call).open_up(call.args.text("IMAGE"), on);
  answer_image(
      call.out, entry,
      fmt::format("{} {}", named(call, entry), on ? "is public: every account sees it" : "is not public any longer"));
  return 0;
}

int run_image_rm(Call& call) {
  const Args& args = call.args;
  if (args.has("now") && args.has("for"))
    throw invalid("kiln image rm: --now and --for do not go together", "leave one of them out");
  // What this home runs, it runs from its own catalog's images; of another catalog's the records there tell it.
  const OpenedRegion region = is_elsewhere(args) ? open_place(call.services, args.text("region")) : OpenedRegion();
  if (region.bucket) return remove_from_bucket(call, *region.bucket);
  const std::string image = args.text("IMAGE");
  HostMachines* const home = region.folder ? nullptr : &call.services.machines();
  if (args.has("now")) return answer_removal(call, home ? home->remove_image(image) : region.folder->remove(image));
  const Moment purge_at = end_of_term(args.text("for", "7d"));
  const ImageEntry entry =
      home ? home->trash_image(image, purge_at) : Life(region.folder->view()).trash(image, {}, purge_at);
  const std::string where = home ? "" : " --region " + args.text("region");
  answer_image(call.out, entry,
               fmt::format("{} is in the trash until {}; kiln image restore {}{} brings it back", named(call, entry),
                           purge_at, named(call, entry), where));
  return 0;
}

int run_image_restore(Call& call) {
  const OpenedRegion region = open_place(call.services, call.args.text("region", home_region));
  if (region.bucket)
    throw invalid(fmt::format("region {} is a bucket, which has no trash", region.bucket->name()),
                  fmt::format("copy the image there again: kiln image copy IMAGE --to {}", region.bucket->name()));
  const ImageEntry entry = Life(region.folder->view()).restore(call.args.text("IMAGE"));
  answer_image(call.out, entry, fmt::format("{} is {} again", named(call, entry), to_text(entry.state())));
  return 0;
}

}  // namespace kiln::cli
