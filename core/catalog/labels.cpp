#include "catalog/labels.h"

#include <algorithm>
#include <set>

#include <kiln/error.h>

#include "catalog/names.h"
#include "catalog/store.h"

namespace kiln {
namespace {

constexpr std::size_t tag_limit = 128, property_limit = 128, text_limit = 4096;

void require_text(const char* what, const std::string& text, std::size_t limit) {
  if (text.size() > limit)
    throw invalid(std::string(what) + " has " + std::to_string(text.size()) + " bytes, at most " +
                      std::to_string(limit) + " are kept",
                  "make it shorter");
}

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::ranges::find(list, word) != list.end();
}

std::string fact(const ImageEntry& entry, std::string_view name) {
  const auto it = entry.image.facts.find(name);
  return it == entry.image.facts.end() ? std::string() : it->second;
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
  if (larger_than && e.image.virtual_size < *larger_than) return false;
  if (smaller_than && e.image.virtual_size > *smaller_than) return false;
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
  view_.store().images.move_channel(entry, channel, entry, view_.account().name);
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

ImageEntry Labels::roll_back(std::string_view name, const std::string& channel) {
  ImageEntry one = one_of(name);
  // Whose name it is decides, not the state of a version: the one to get away from may be revoked, or gone.
  one.life = {};
  require(Action::promote, view_.standing(one), one);
  ImageRecords& images = view_.store().images;
  const auto now = images.channel(one.region, one.owner, one.image.name, channel);
  for (const ChannelMove& move : images.history(one.region, one.owner, one.image.name, channel)) {
    if (move.image.empty() || move.image == now) continue;
    const auto before = view_.find_id(move.image);
    if (!before ||
        decide(Action::promote, view_.standing(*before), before->state(), before->is_public) != Decision::allowed)
      continue;
    images.move_channel(one, channel, before, view_.account().name);
    return view_.find_id(before->image.id).value_or(*before);
  }
  throw invalid(
      "channel \"" + channel + "\" of image \"" + one.image.name + "\" pointed nowhere else that is still of use",
      "see its history: kiln image channel " + one.image.name + " " + channel);
}

std::vector<ChannelMove> Labels::history(std::string_view name, const std::string& channel) const {
  const ImageEntry one = one_of(name);
  std::vector<ChannelMove> moves = view_.store().images.history(one.region, one.owner, one.image.name, channel);
  if (one.owner == view_.account().name || view_.account().is_operator) return moves;
  // A member learns nothing of versions that it may not see.
  std::erase_if(moves, [&](const ChannelMove& move) { return !view_.find_id(move.image); });
  return moves;
}

ImageEntry Labels::edit(std::string_view reference, const Edit& edit) {
  const ImageEntry entry = view_.resolve(reference, Action::change);
  for (const std::string& tag : edit.add_tags) require_name("tag", tag);
  std::set<std::string> tags(entry.tags.begin(), entry.tags.end()), names;
  tags.insert(edit.add_tags.begin(), edit.add_tags.end());
  for (const std::string& tag : edit.remove_tags) tags.erase(tag);
  if (tags.size() > tag_limit)
    throw invalid("an image has at most " + std::to_string(tag_limit) + " tags", "remove some first");
  for (const auto& [name, value] : entry.properties) names.insert(name);
  for (const auto& [name, value] : edit.properties) value ? (void)names.insert(name) : (void)names.erase(name);
  if (names.size() > property_limit)
    throw invalid("an image has at most " + std::to_string(property_limit) + " properties", "remove some first");
  for (const auto& [name, value] : edit.properties) {
    require_name("property name", name);
    if (value) require_text("the property's value", *value, text_limit);
  }
  if (edit.description) require_text("the description", *edit.description, text_limit);
  ImageRecords& images = view_.store().images;
  for (const std::string& tag : edit.add_tags) images.set_tag(entry.image.id, tag, true);
  for (const std::string& tag : edit.remove_tags) images.set_tag(entry.image.id, tag, false);
  for (const auto& [name, value] : edit.properties) images.set_property(entry.image.id, name, value);
  if (edit.description) images.change(entry.image.id, {.description = edit.description});
  return view_.find_id(entry.image.id).value_or(entry);
}

}  // namespace kiln
