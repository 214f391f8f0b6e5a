#include "catalog/sharing.h"

#include <kiln/error.h>

#include "catalog/names.h"
#include "catalog/store.h"

namespace kiln {

ImageEntry Sharing::offer(std::string_view reference, const std::vector<std::string>& members, bool may_copy) {
  const ImageEntry entry = view_.resolve(reference, Action::share);
  for (const std::string& member : members) {
    require_name("account name", member);
    if (member == entry.owner) throw invalid("image " + entry.reference() + " is " + member + "'s own");
  }
  for (const std::string& member : members)
    // Somebody may have put it into the trash meanwhile: the second look says so.
    if (!view_.store().shares.offer(entry.image.id, member, may_copy))
      (void)view_.resolve(entry.image.id, Action::share);
  return entry;
}

ImageEntry Sharing::cancel(std::string_view reference, const std::vector<std::string>& members) {
  const ImageEntry entry = view_.resolve(reference, Action::share);
  for (const std::string& member : members) require_name("account name", member);
  for (const std::string& member : members)
    if (!view_.store().shares.find(entry.image.id, member))
      throw invalid("image " + entry.reference() + " is not shared with \"" + member + "\"",
                    "see with whom it is: kiln share list " + entry.reference_for(view_.account().name));
  for (const std::string& member : members) view_.store().shares.cancel(entry.image.id, member);
  return entry;
}

ImageEntry Sharing::accept(std::string_view reference) {
  return answer(reference, Share::State::accepted);
}

ImageEntry Sharing::reject(std::string_view reference) {
  return answer(reference, Share::State::rejected);
}

ImageEntry Sharing::answer(std::string_view reference, Share::State state) {
  ImageEntry entry = view_.resolve(reference, Action::answer);
  // It may have been taken back since the look: then another look says so.
  while (!view_.store().shares.answer(entry.image.id, view_.account().name, state))
    entry = view_.resolve(entry.image.id, Action::answer);
  return entry;
}

bool Sharing::may_hear_of(const std::string& image_id, const std::string& account) const {
  const auto entry = view_.find_id(image_id);
  if (!entry || view_.account().is_operator || account == view_.account().name) return entry.has_value();
  const bool given = !entry->is_public || view_.store().shares.find(image_id, account).has_value();
  return entry->owner == view_.account().name && given;
}

std::vector<Share> Sharing::members(std::string_view reference) const {
  return view_.store().shares.of_image(view_.resolve(reference, Action::share).image.id);
}

std::vector<OfferedImage> Sharing::offered() const {
  std::vector<OfferedImage> out;
  const std::vector<ImageEntry> seen = view_.images();
  for (const Share& share : view_.store().shares.of_member(view_.account().name))
    for (const ImageEntry& entry : seen)
      if (entry.image.id == share.image && share.state != Share::State::rejected) out.push_back({entry, share});
  return out;
}

std::vector<Share> Sharing::of_me() const {
  return view_.store().shares.of_member(view_.account().name);
}

}  // namespace kiln
