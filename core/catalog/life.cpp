#include "catalog/life.h"

#include <algorithm>
#include <optional>
#include <set>

#include <kiln/error.h>

#include "catalog/names.h"
#include "catalog/sharing.h"
#include "catalog/store.h"

namespace kiln {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

/// Whether there is a newer one of the same name that can be used. The newest comes first in `all`; the time of
/// creation would not tell two of one second apart.
bool has_newer(const std::vector<ImageEntry>& all, const std::string& id) {
  const auto it = std::ranges::find(all, id, [](const ImageEntry& entry) { return entry.image.id; });
  if (it == all.end()) return false;
  return std::any_of(all.begin(), it, [&](const ImageEntry& other) {
    return other.owner == it->owner && other.image.name == it->image.name && other.state() == ImageState::available;
  });
}

/// As the owner of another image would name `image`, which was given as `typed`: by its channel, or with no tag at all,
/// it may come to mean a newer one.
std::string named_by(const std::string& owner, const ImageEntry& image, const std::string& typed) {
  if (typed == image.image.id) return image.reference_for(owner);
  const std::string tag = parse_reference(typed).tag;
  return image.name_for(owner) + (tag.empty() ? "" : ":" + tag);
}

/// `user`: as Life::users_on_record() and Users name them.
std::string how_to_free(const std::string& user) {
  if (is_instance_name(user)) return "remove what uses it first: kiln rm " + user;
  if (const auto at = user.find(" on "); at != std::string::npos)
    return "remove it there: kiln rm; of a home that is gone for good: kiln gc --forget-home " + user.substr(at + 4);
  return "it can go when they have removed what uses it; until then, kiln image deprecate keeps newcomers away";
}

}  // namespace

ImageEntry Life::deprecate(std::string_view reference, const Moment& at, const Moment& obsolete_at,
                           const std::string& replacement) {
  const auto instead = replacement.empty() ? std::nullopt : std::optional(view_.resolve(replacement, Action::see));
  return view_.change(reference, Action::retire, [&](const ImageEntry& now) {
    if (instead && instead->image.id == now.image.id)
      throw invalid("image " + now.reference() + " cannot replace itself", "name what to use instead of it");
    ImageChange change;
    if (!at.empty() || now.life.deprecated_at.empty()) change.deprecated_at = at.empty() ? now_moment() : at;
    if (!obsolete_at.empty()) change.obsolete_at = obsolete_at;
    if (instead) change.replacement = named_by(now.owner, *instead, replacement);
    const Moment obsolete = change.obsolete_at.value_or(now.life.obsolete_at);
    if (!obsolete.empty() && obsolete < change.deprecated_at.value_or(now.life.deprecated_at))
      throw invalid("it would become obsolete before it is deprecated", "give the later date as --obsolete");
    return change;
  });
}

ImageEntry Life::undeprecate(std::string_view reference) {
  return view_.change(reference, Action::retire, [](const ImageEntry&) {
    return ImageChange{.deprecated_at = "", .obsolete_at = "", .replacement = ""};
  });
}

ImageEntry Life::revoke(std::string_view reference, const Moment& at, const std::string& reason) {
  require_text("the reason", reason);
  return view_.change(reference, Action::revoke, [&](const ImageEntry& now) {
    const Moment& before = now.life.revoked_at;
    // Whoever gave the earlier date meant it: a second revocation must not let the image run again.
    if (!before.empty() && before < at)
      throw refused("image " + now.reference() +
                        (before <= now_moment() ? " is revoked already, since " : " will be revoked earlier, at ") +
                        before,
                    "to give another date or reason, take that back first: kiln image revoke " +
                        now.reference_for(view_.account().name) + " --undo",
                    {"reason: " + now.life.reason});
    return ImageChange{.revoked_at = at, .reason = reason};
  });
}

ImageEntry Life::unrevoke(std::string_view reference) {
  return view_.change(reference, Action::revoke,
                      [](const ImageEntry&) { return ImageChange{.revoked_at = "", .reason = ""}; });
}

ImageEntry Life::protect(std::string_view reference, bool on) {
  return view_.change(reference, Action::change, [&](const ImageEntry&) { return ImageChange{.is_protected = on}; });
}

ImageEntry Life::open_up(std::string_view reference, bool on) {
  return view_.change(reference, Action::open_up, [&](const ImageEntry&) { return ImageChange{.is_public = on}; });
}

std::vector<std::string> Life::users_on_record(const ImageEntry& entry, std::string_view here) const {
  const Account& self = view_.account();
  const Sharing sharing(view_);
  std::set<std::string> words;
  for (const ImageUse& use : view_.store().uses.of_image(entry.image.id)) {
    if (use.home == here) continue;
    const std::string what = use.instance.empty() ? "a launch" : "instance " + use.instance;
    if (use.account == self.name || (use.account.empty() && self.is_operator))
      words.insert(what + " on " + use.home);
    else if (!use.account.empty() && sharing.may_hear_of(entry.image.id, use.account))
      words.insert(self.is_operator ? what + " of " + use.account + " on " + use.home
                                    : "an instance of " + use.account);
    else
      words.insert("an instance of another account");
  }
  return {words.begin(), words.end()};
}

void Life::require_free(const ImageEntry& entry, const Users& users_of) const {
  const std::string to_type = entry.reference_for(view_.account().name), image = "image " + to_type;
  if (entry.is_protected) throw refused(image + " is protected", "kiln image protect " + to_type + " --off");
  if (entry.is_public)
    throw refused(image + " is public: every account may use it",
                  "kiln image public " + to_type + " --off, which the catalog's operator can do");
  if (!entry.channels.empty()) {
    const std::string &channel = entry.channels.front(), name = entry.name_for(view_.account().name);
    throw refused("channel \"" + channel + "\" points at " + image,
                  "point it elsewhere first: kiln image promote " + name + ":VERSION " + channel +
                      ", or end it: kiln image channel " + name + " " + channel + " --remove");
  }
  const std::vector<std::string> users = users_of ? users_of(entry) : users_on_record(entry);
  if (!users.empty()) throw refused(image + " is in use by " + joined(users), how_to_free(users.front()));
  std::vector<std::string> members;
  for (const Share& share : view_.store().shares.of_image(entry.image.id))
    if (share.state != Share::State::rejected) members.push_back(share.member);
  if (!members.empty())
    throw refused(image + " is shared with " + joined(members),
                  "cancel that first: kiln share cancel " + to_type + " --with " + members.front());
}

ImageEntry Life::trash(std::string_view reference, const Users& users, const Moment& purge_at) {
  ImageEntry entry = view_.resolve(reference, Action::trash);
  require_free(entry, users);
  // Somebody may share or protect it between the look and the deed: then another look says so.
  while (!view_.store().images.trash(entry.image.id, now_moment(), purge_at)) {
    entry = view_.resolve(entry.image.id, Action::trash);
    require_free(entry, users);
  }
  return view_.find_id(entry.image.id).value_or(entry);
}

ImageEntry Life::restore(std::string_view reference) {
  return view_.change(reference, Action::restore,
                      [](const ImageEntry&) { return ImageChange{.trashed_at = "", .purge_at = ""}; });
}

Life::Descendants Life::descendants(std::string_view reference) const {
  const ImageEntry top = view_.resolve(reference, Action::see);
  const std::vector<ImageEntry> all = view_.images();
  std::set<std::string> family{top.image.id};
  Descendants out;
  for (bool grown = true; grown;) {
    grown = false;
    for (const ImageEntry& entry : all) {
      const bool child = std::ranges::any_of(entry.parents, [&](const auto& p) { return family.contains(p); });
      if (!child || !family.insert(entry.image.id).second) continue;
      out.images.push_back(entry);
      grown = true;
    }
  }
  for (const ImageEntry& child : out.images)
    if (std::ranges::any_of(child.parents, [&](const std::string& parent) { return has_newer(all, parent); }))
      out.out_of_date.push_back(child.image.id);
  return out;
}

}  // namespace kiln
