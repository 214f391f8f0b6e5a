#include "catalog/life.h"

#include <algorithm>
#include <set>

#include <kiln/error.h>

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

}  // namespace

ImageEntry Life::changed(const ImageEntry& entry, const ImageChange& change) {
  view_.store().images.change(entry.image.id, change);
  return view_.find_id(entry.image.id).value_or(entry);
}

ImageEntry Life::deprecate(std::string_view reference, const Moment& at, const Moment& obsolete_at,
                           const std::string& replacement) {
  const ImageEntry entry = view_.resolve(reference, Action::retire);
  if (!obsolete_at.empty() && obsolete_at < at)
    throw invalid("it would become obsolete before it is deprecated", "give the later date as --obsolete");
  if (!replacement.empty() && view_.resolve(replacement, Action::see).image.id == entry.image.id)
    throw invalid("image " + entry.reference() + " cannot replace itself", "name what to use instead of it");
  return changed(entry, {.deprecated_at = at, .obsolete_at = obsolete_at, .replacement = replacement});
}

ImageEntry Life::undeprecate(std::string_view reference) {
  const ImageEntry entry = view_.resolve(reference, Action::retire);
  return changed(entry, {.deprecated_at = "", .obsolete_at = "", .replacement = ""});
}

ImageEntry Life::revoke(std::string_view reference, const Moment& at, const std::string& reason) {
  return changed(view_.resolve(reference, Action::revoke), {.revoked_at = at, .reason = reason});
}

ImageEntry Life::unrevoke(std::string_view reference) {
  return changed(view_.resolve(reference, Action::revoke), {.revoked_at = "", .reason = ""});
}

ImageEntry Life::protect(std::string_view reference, bool on) {
  return changed(view_.resolve(reference, Action::change), {.is_protected = on});
}

ImageEntry Life::open_up(std::string_view reference, bool on) {
  return changed(view_.resolve(reference, Action::open_up), {.is_public = on});
}

void Life::require_free(const ImageEntry& entry, const std::vector<std::string>& users) const {
  const std::string image = "image " + entry.reference();
  if (entry.is_protected) throw refused(image + " is protected", "kiln image protect " + entry.reference() + " --off");
  if (!users.empty())
    throw refused(image + " is in use by " + joined(users),
                  is_instance_name(users.front()) ? "remove what uses it first: kiln rm " + users.front()
                                                  : "it can go when they have removed what uses it; until then, "
                                                    "kiln image deprecate keeps newcomers away");
  std::vector<std::string> members;
  for (const Share& share : view_.store().shares.of_image(entry.image.id))
    if (share.state != Share::State::rejected) members.push_back(share.member);
  if (!members.empty())
    throw refused(image + " is shared with " + joined(members),
                  "cancel that first: kiln share cancel " + entry.reference() + " --with " + members.front());
}

ImageEntry Life::trash(std::string_view reference, const std::vector<std::string>& users, const Moment& purge_at) {
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
  return changed(view_.resolve(reference, Action::restore), {.trashed_at = "", .purge_at = ""});
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
