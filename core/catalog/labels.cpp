#include "catalog/labels.h"

#include <algorithm>

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
  if (!tag.empty() && !contains(e.tags, tag)) return false;
  if (!os.empty() && fact(e, "os.distro") != os && fact(e, "os.type") != os) return false;
  if (!state.empty() && to_text(e.state()) != state) return false;
  for (const auto& [key, value] : properties)
    if (const auto it = e.properties.find(key); it == e.properties.end() || it->second != value) return false;
  if (larger_than && e.image.virtual_size < *larger_than) return false;
  if (smaller_than && e.image.virtual_size > *smaller_than) return false;
  if (!newer_than.empty() && e.image.created < newer_than) return false;
  return older_than.empty() || e.image.created <= older_than;
}

std::vector<ImageEntry> Labels::find(const ImageFilter& filter) const {
  std::vector<ImageEntry> all = view_.images();
  std::erase_if(all, [&](const ImageEntry& entry) { return !filter.matches(entry); });
  return all;
}

ImageEntry Labels::promote(std::string_view reference, const std::string& channel) {
  require_name("channel", channel);
  const ImageEntry entry = view_.resolve(reference, Action::promote);
  view_.store().images.move_channel(entry, channel, entry, view_.account().name);
  return view_.find_id(entry.image.id).value_or(entry);
}

ImageEntry Labels::roll_back(std::string_view name, const std::string& channel) {
  const ImageEntry now = view_.resolve(std::string(name) + ":" + channel, Action::promote);
  for (const ChannelMove& move : view_.store().images.history(now.region, now.owner, now.image.name, channel)) {
    if (move.image.empty() || move.image == now.image.id) continue;
    const auto before = view_.find_id(move.image);
    if (!before ||
        decide(Action::promote, view_.standing(*before), before->state(), before->is_public) != Decision::allowed)
      continue;
    view_.store().images.move_channel(now, channel, before, view_.account().name);
    return view_.find_id(before->image.id).value_or(*before);
  }
  throw invalid(
      "channel \"" + channel + "\" of image \"" + now.image.name + "\" pointed nowhere else that is still of use",
      "see its history: kiln image channel " + now.image.name + " " + channel);
}

std::vector<ChannelMove> Labels::history(std::string_view name, const std::string& channel) const {
  const Reference wanted = parse_reference(name);
  for (const ImageEntry& entry : view_.images()) {
    if (entry.image.name != wanted.name) continue;
    if (entry.owner != (wanted.owner.empty() ? view_.account().name : wanted.owner)) continue;
    return view_.store().images.history(entry.region, entry.owner, entry.image.name, channel);
  }
  throw invalid("there is no image \"" + std::string(name) + "\"", "see which images there are: kiln image list");
}

ImageEntry Labels::edit(std::string_view reference, const Edit& edit) {
  const ImageEntry entry = view_.resolve(reference, Action::change);
  for (const std::string& tag : edit.add_tags) require_name("tag", tag);
  if (entry.tags.size() + edit.add_tags.size() > tag_limit)
    throw invalid("an image has at most " + std::to_string(tag_limit) + " tags", "remove some first");
  if (entry.properties.size() + edit.properties.size() > property_limit)
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
