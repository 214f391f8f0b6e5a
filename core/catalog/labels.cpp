#include "catalog/labels.h"

#include <algorithm>
#include <set>

#include <kiln/error.h>

#include "catalog/names.h"
#include "catalog/store.h"

namespace kiln {
namespace {

constexpr std::size_t tag_limit = 128, property_limit = 128;

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::ranges::find(list, word) != list.end();
}

std::string fact(const ImageEntry& entry, std::string_view name) {
  const auto it = entry.image.facts.find(name);
  return it == entry.image.facts.end() ? std::string() : it->second;
}

ChannelName channel_of(const ImageEntry& one, const std::string& channel) {
  require_name("channel", channel);
  return {one.region, one.owner, one.image.name, channel};
}

}  // namespace

bool ImageFilter::matches(const ImageEntry& e) const {
  if ((e.state() == ImageState::trashed) != trash) return false;
  if (!name.empty() && e.image.name != name) return false;
  if (!owner.empty() && e.owner != owner) return false;
  if (!channel.empty() && !contains(e.channels, channel)) return false;
  if (!std::ranges::all_of(tags, [&](const std::string& tag) { return contains(e.tags, tag); })) return false;
  if (!os.empty() && fact(e, "os.distro") != os && fact(e, "os.type") != os) return false;
  if (!state.empty() && to_text(e.state()) != state) return false;
  for (const auto& [key, value] : properties)
    if (const auto it = e.properties.find(key); it == e.properties.end() || it->second != value) return false;
  if (larger_than && e.image.total_size() < *larger_than) return false;
  if (smaller_than && e.image.total_size() > *smaller_than) return false;
  if (!newer_than.empty() && e.image.created < newer_than) return false;
  return older_than.empty() || e.image.created <= older_than;
}

std::vector<ImageEntry> Labels::find(const ImageFilter& filter, Detail detail) const {
  const bool by_details = !filter.os.empty() || !filter.properties.empty();
  std::vector<ImageEntry> all = view_.images(by_details ? Detail::all : detail);
  std::erase_if(all, [&](const ImageEntry& entry) { return !filter.matches(entry); });
  return all;
}

ImageEntry Labels::promote(std::string_view reference, const std::string& channel) {
  require_name("channel", channel);
  const ImageEntry entry = view_.resolve(reference, Action::promote);
  const Standing asking = view_.standing(entry);
  view_.store().images.move_channel(entry, channel, view_.account().name,
                                    [&](const ImageEntry& now) { require(Action::promote, asking, now); });
  return view_.find_id(entry.image.id).value_or(entry);
}

/// Any image of a name that this account sees: the newest.
ImageEntry Labels::one_of(std::string_view name) const {
  const Reference wanted = parse_reference(name);
  for (ImageEntry& entry : view_.images())
    if (entry.image.name == wanted.name && entry.owner == (wanted.owner.empty() ? view_.account().name : wanted.owner))
      return std::move(entry);
  throw invalid("there is no image \"" + std::string(name) + "\"", "see which images there are: kiln image list");
}

/// The same, when this account may move its channels.
ImageEntry Labels::mine_of(std::string_view name) const {
  ImageEntry one = one_of(name);
  // Whose name it is decides, not the state of a version: the one to get away from may be revoked, or gone.
  one.life = {};
  require(Action::promote, view_.standing(one), one);
  return one;
}

ImageEntry Labels::roll_back(std::string_view name, const std::string& channel) {
  const ImageEntry one = mine_of(name);
  const Standing asking = view_.standing(one);
  const auto before =
      view_.store().images.roll_back(channel_of(one, channel), view_.account().name, [&](const ImageEntry& now) {
        return decide(Action::promote, asking, now.state(), now.is_public) == Decision::allowed;
      });
  const auto entry = before ? view_.find_id(*before) : std::nullopt;
  if (!entry)
    throw invalid(
        "channel \"" + channel + "\" of image \"" + one.image.name + "\" pointed nowhere else that is still of use",
        "see its history: kiln image channel " + one.name_for(view_.account().name) + " " + channel);
  return *entry;
}

void Labels::remove_channel(std::string_view name, const std::string& channel) {
  const ImageEntry one = mine_of(name);
  if (!view_.store().images.remove_channel(channel_of(one, channel), view_.account().name))
    throw invalid("channel \"" + channel + "\" of image \"" + one.image.name + "\" points nowhere",
                  "see its history: kiln image channel " + one.name_for(view_.account().name) + " " + channel);
}

std::vector<ChannelMove> Labels::history(std::string_view name, const std::string& channel) const {
  const ImageEntry one = one_of(name);
  std::vector<ChannelMove> moves = view_.store().images.history(channel_of(one, channel));
  if (one.owner == view_.account().name || view_.account().is_operator) return moves;
  // A member learns nothing of versions that it may not see.
  std::erase_if(moves, [&](const ChannelMove& move) { return !view_.find_id(move.image); });
  return moves;
}

ImageEntry Labels::edit(std::string_view reference, const Edit& edit) {
  for (const std::string& tag : edit.add_tags) require_name("tag", tag);
  for (const auto& [name, value] : edit.properties) {
    require_name("property name", name);
    if (value) require_text("the property's value", *value);
  }
  if (edit.description) require_text("the description", *edit.description);
  ImageChange change{.description = edit.description, .properties = edit.properties};
  for (const std::string& tag : edit.add_tags) change.tags[tag] = true;
  for (const std::string& tag : edit.remove_tags) change.tags[tag] = false;
  return view_.change(reference, Action::change, [&](const ImageEntry& now) {
    std::set<std::string> tags(now.tags.begin(), now.tags.end()), names;
    for (const auto& [tag, present] : change.tags) present ? (void)tags.insert(tag) : (void)tags.erase(tag);
    if (tags.size() > tag_limit)
      throw invalid("an image has at most " + std::to_string(tag_limit) + " tags", "remove some first");
    for (const auto& [name, value] : now.properties) names.insert(name);
    for (const auto& [name, value] : edit.properties) value ? (void)names.insert(name) : (void)names.erase(name);
    if (names.size() > property_limit)
      throw invalid("an image has at most " + std::to_string(property_limit) + " properties", "remove some first");
    return change;
  });
}

}  // namespace kiln
