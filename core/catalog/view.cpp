#include "catalog/view.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <unordered_map>

#include <kiln/value.h>

#include "catalog/names.h"
#include "catalog/store.h"

namespace kiln {
namespace {

Standing standing_with(const Account& account, const ImageEntry& entry, const Share* share) {
  using Role = Standing::Role;
  const std::string& name = account.name;
  // An operator who owns it may do what an owner may, and make it public besides.
  const bool is_member = share != nullptr && share->state != Share::State::rejected;
  if (account.is_operator) return {Role::operator_, true, is_member, name};
  if (entry.owner == account.name) return {Role::owner, true, false, name};
  if (share == nullptr) return {Role::stranger, false, false, name};
  if (share->state == Share::State::rejected) return {Role::rejected, false, false, name};
  if (share->state == Share::State::pending) return {Role::pending, false, is_member, name};
  return {Role::accepted, share->may_copy, is_member, name};
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

/// Own images first, then public ones, then shared ones. What was only offered comes last: an offer that nobody asked
/// for must not change what a name means.
int distance(const CatalogView& view, const ImageEntry& entry) {
  if (entry.owner == view.account().name) return 0;
  if (entry.is_public) return 1;
  return view.standing(entry).role == Standing::Role::pending ? 3 : 2;
}

/// Of images of one name: the ones nearest to the account. Two owners at the same distance are told apart by the
/// caller.
std::vector<const ImageEntry*> nearest_of(const CatalogView& view, const std::vector<const ImageEntry*>& found) {
  std::map<int, std::vector<const ImageEntry*>> by_distance;
  for (const ImageEntry* entry : found) by_distance[distance(view, *entry)].push_back(entry);
  return by_distance.empty() ? found : by_distance.begin()->second;
}

/// Names what there is instead of what was asked for.
Error not_there(const std::vector<ImageEntry>& all, const Reference& wanted) {
  std::vector<std::string> names, tags;
  for (const ImageEntry& entry : all) {
    if (!wanted.owner.empty() && entry.owner != wanted.owner) continue;
    if (names.empty() || names.back() != entry.image.name) names.push_back(entry.image.name);
    if (entry.image.name != wanted.name) continue;
    tags.push_back(entry.image.version);
    tags.insert(tags.end(), entry.channels.begin(), entry.channels.end());
  }
  const bool name_is_known = !tags.empty();
  const std::string what = name_is_known
                               ? "image \"" + wanted.name + "\" has no version or channel \"" + wanted.tag + "\""
                               : "there is no image \"" + wanted.name + "\"";
  if (const auto near = nearest(name_is_known ? wanted.tag : wanted.name, name_is_known ? tags : names))
    return invalid(what, "did you mean \"" + (wanted.owner.empty() ? "" : wanted.owner + "/") +
                             (name_is_known ? wanted.name + ":" + *near : *near) + "\"?");
  if (name_is_known && tags.size() <= 10) return invalid(what, "it has: " + joined(tags));
  return invalid(what, "see which images there are: kiln image list");
}

/// What a bare name can mean: what is in the trash, failed or unfinished hides nothing that is there.
std::vector<const ImageEntry*> present_of(const std::vector<const ImageEntry*>& named) {
  std::vector<const ImageEntry*> out;
  std::ranges::copy_if(named, std::back_inserter(out), [](const ImageEntry* entry) { return entry->is_there(); });
  return out.empty() ? named : out;
}

/// The newest that is not deprecated.
const ImageEntry& newest(const std::vector<const ImageEntry*>& versions, const Reference& wanted,
                         const std::string& account) {
  for (const ImageEntry* entry : versions)
    if (entry->state() == ImageState::available) return *entry;
  const ImageEntry& last = *versions.front();
  const ImageState state = last.state();
  const std::string to_type = last.reference_for(account);
  std::string hint = "see what is known of it: kiln image show " + to_type;
  if (state == ImageState::deprecated) hint = "name the version to use it all the same: " + to_type;
  if (state == ImageState::trashed) hint = "restore it first: kiln image restore " + to_type;
  if (!last.life.replacement.empty()) hint = "use " + last.replacement_for(account) + " instead";
  throw refused("no version of image \"" + wanted.name + "\" is available: the newest, " + last.image.version +
                    ", is " + std::string(to_text(state)),
                hint);
}

}  // namespace

void inherit_revocations(std::vector<ImageEntry>& all) {
  const Moment now = now_moment();
  const auto revoked = [&](const ImageEntry& e) { return !e.life.revoked_at.empty() && e.life.revoked_at <= now; };
  if (std::ranges::none_of(all, revoked)) return;
  std::unordered_map<std::string, ImageEntry*> by_id;
  for (ImageEntry& entry : all) by_id.emplace(entry.image.id, &entry);
  std::set<const ImageEntry*> settled;
  const auto settle = [&](auto&& self, ImageEntry& entry) -> bool {
    const bool own = revoked(entry);
    if (!settled.insert(&entry).second) return own || entry.life.ancestor_revoked;
    for (const std::string& parent : entry.parents)
      if (const auto it = by_id.find(parent); it != by_id.end() && self(self, *it->second)) {
        entry.life.ancestor_revoked = true;
        if (entry.life.reason.empty()) entry.life.reason = it->second->life.reason;
      }
    return own || entry.life.ancestor_revoked;
  };
  for (ImageEntry& entry : all) settle(settle, entry);
}

Standing CatalogView::standing(const ImageEntry& entry) const {
  const auto share = store_->shares.find(entry.image.id, account_.name);
  return standing_with(account_, entry, share ? &*share : nullptr);
}

std::vector<ImageEntry> CatalogView::images(Detail detail) const {
  std::vector<ImageEntry> all = store_->images.list({.detail = detail});
  inherit_revocations(all);
  std::map<std::string, Share> shares;
  for (Share& share : store_->shares.of_member(account_.name)) shares.emplace(share.image, std::move(share));
  const Moment now = now_moment();
  std::erase_if(all, [&](const ImageEntry& entry) {
    if (entry.life.is_over(now)) return true;
    const auto share = shares.find(entry.image.id);
    const Standing standing = standing_with(account_, entry, share == shares.end() ? nullptr : &share->second);
    return decide(Action::see, standing, entry.state(), entry.is_public) != Decision::allowed;
  });
  return all;
}

std::optional<ImageEntry> CatalogView::find_id(const std::string& id) const {
  for (ImageEntry& entry : images())
    if (entry.image.id == id) return std::move(entry);
  return std::nullopt;
}

ImageEntry CatalogView::resolve(std::string_view reference, Action action) const {
  const std::vector<ImageEntry> all = images();
  const Reference wanted = parse_reference(reference);
  std::vector<const ImageEntry*> named, tagged;
  for (const ImageEntry& entry : all) {
    if (entry.image.id == reference) {
      require(action, standing(entry), entry);
      return entry;
    }
    if (entry.image.name != wanted.name || (!wanted.owner.empty() && entry.owner != wanted.owner)) continue;
    named.push_back(&entry);
  }
  named = nearest_of(*this, wanted.tag.empty() ? present_of(named) : named);
  for (const ImageEntry* entry : named)
    if (entry->image.version == wanted.tag) tagged.push_back(entry);
  if (tagged.empty())
    for (const ImageEntry* entry : named)
      if (std::ranges::find(entry->channels, wanted.tag) != entry->channels.end()) tagged.push_back(entry);
  const std::vector<const ImageEntry*>& found = wanted.tag.empty() ? named : tagged;
  if (found.empty()) throw not_there(all, wanted);
  for (const ImageEntry* entry : found)
    if (entry->owner != found.front()->owner)
      throw invalid(
          "image \"" + wanted.name + "\" may be that of " + found.front()->owner + " or that of " + entry->owner,
          "say whose: " + found.front()->owner + "/" + std::string(reference));
  const ImageEntry& entry = wanted.tag.empty() ? newest(found, wanted, account_.name) : *found.front();
  require(action, standing(entry), entry);
  return entry;
}

ImageEntry CatalogView::change(std::string_view reference, Action action, const ImageDecision& decision) const {
  const ImageEntry entry = resolve(reference, action);
  const Standing asking = standing(entry);
  const bool there = store_->images.change(entry.image.id, [&](const ImageEntry& now) {
    require(action, asking, now);
    return decision(now);
  });
  if (!there) throw image_is_gone(entry.reference());
  return find_id(entry.image.id).value_or(entry);
}

std::optional<ImageEntry> CatalogView::find(std::string_view reference) const {
  try {
    return resolve(reference, Action::see);
  } catch (const Error& error) {
    if (error.failure() == Failure::invalid || error.failure() == Failure::refused) return std::nullopt;
    throw;
  }
}

}  // namespace kiln
