#include "catalog/retention.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <kiln/error.h>

#include "catalog/life.h"
#include "catalog/store.h"

namespace kiln {
namespace {

bool is_usable(const ImageEntry& entry) {
  const ImageState state = entry.state();
  return state == ImageState::available || state == ImageState::deprecated;
}

/// What a name alone means as long as anything of it can be used: never given up.
const ImageEntry* last_resort(const std::vector<const ImageEntry*>& versions) {
  for (const ImageEntry* entry : versions)
    if (entry->state() == ImageState::available) return entry;
  const auto it = std::ranges::find_if(versions, [](const ImageEntry* entry) { return is_usable(*entry); });
  return it == versions.end() ? nullptr : *it;
}

/// Of all accounts: what one of them has built must not lose its origin because another one does not see it.
std::vector<ImageEntry> living(const Store& store) {
  std::vector<ImageEntry> all = store.images.list();
  inherit_revocations(all);
  const Moment now = now_moment();
  std::erase_if(all, [&](const ImageEntry& entry) { return entry.life.is_over(now) || !entry.is_there(); });
  return all;
}

}  // namespace

std::string Retention::reason_to_stay(const ImageEntry& entry, const ImageEntry* child) const {
  if (entry.is_protected) return "it is protected";
  if (entry.is_public) return "it is public: every account may use it";
  if (!entry.channels.empty()) return "channel " + entry.channels.front() + " points at it";
  if (const auto users = users_(entry); !users.empty())
    return (is_instance_name(users.front()) ? "instance " : "") + users.front() + " runs from it";
  for (const Share& share : view_.store().shares.of_image(entry.image.id))
    if (share.state != Share::State::rejected) return "it is shared with " + share.member;
  if (child == nullptr) return "";
  return (child->owner == entry.owner ? child->reference() : "another account's image") + " was built from it";
}

std::vector<Verdict> Retention::judge(std::string_view name, const KeepRule& keep) const {
  const std::vector<ImageEntry> all = living(view_.store());
  std::unordered_map<std::string, const ImageEntry*> children;
  std::vector<const ImageEntry*> versions;
  for (const ImageEntry& entry : all) {
    for (const std::string& parent : entry.parents) {
      const auto [known, is_first] = children.emplace(parent, &entry);
      if (!is_first && entry.owner == view_.account().name) known->second = &entry;  // one that has a name here
    }
    if (entry.image.name == name && entry.owner == view_.account().name) versions.push_back(&entry);
  }
  if (versions.empty())
    throw invalid("there is no image \"" + std::string(name) + "\" of yours", "see which there are: kiln image list");
  const ImageEntry* last = last_resort(versions);
  std::vector<Verdict> out;
  KeepRule::Round round(keep);
  for (const ImageEntry* entry : versions) {
    const auto child = children.find(entry->image.id);
    Verdict verdict{*entry, false, ""};
    if (is_usable(*entry))
      verdict.why = round.reason(entry->image.created);
    else if (!round.is_over())
      verdict.why = "not older than " + keep.text() + " that can be used";
    if (verdict.why.empty() && entry == last) verdict.why = "the newest that can be used";
    if (verdict.why.empty()) verdict.why = reason_to_stay(*entry, child == children.end() ? nullptr : child->second);
    verdict.goes = verdict.why.empty();
    if (verdict.goes) verdict.why = "not among " + keep.text() + ", and nothing needs it";
    out.push_back(std::move(verdict));
  }
  return out;
}

std::vector<ImageEntry> Retention::carry_out(const std::vector<Verdict>& verdicts, const Moment& purge_at) const {
  std::vector<std::string> ids;
  for (const Verdict& verdict : verdicts)
    if (verdict.goes && users_(verdict.entry).empty()) ids.push_back(verdict.entry.image.id);
  const Moment now = now_moment();
  const std::vector<std::string> trashed = view_.store().images.trash_unneeded(ids, now, purge_at);
  const std::set<std::string> went(trashed.begin(), trashed.end());
  std::vector<ImageEntry> gone;
  for (const Verdict& verdict : verdicts) {
    if (!went.contains(verdict.entry.image.id)) continue;
    gone.push_back(verdict.entry);
    gone.back().life.trashed_at = now;
    gone.back().life.purge_at = purge_at;
  }
  return gone;
}

}  // namespace kiln
