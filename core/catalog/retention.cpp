#include "catalog/retention.h"

#include <algorithm>

#include <kiln/error.h>

#include "catalog/life.h"
#include "catalog/store.h"

namespace kiln {

std::string Retention::reason_to_stay(const ImageEntry& entry, const std::vector<ImageEntry>& all) const {
  if (entry.is_protected) return "it is protected";
  if (!entry.channels.empty()) return "channel " + entry.channels.front() + " points at it";
  if (const auto users = users_(entry); !users.empty())
    return (is_instance_name(users.front()) ? "instance " : "") + users.front() + " runs from it";
  for (const Share& share : view_.store().shares.of_image(entry.image.id))
    if (share.state != Share::State::rejected) return "it is shared with " + share.member;
  for (const ImageEntry& child : all)
    if (child.is_there() && std::ranges::find(child.parents, entry.image.id) != child.parents.end())
      return child.reference() + " was built from it";
  return "";
}

std::vector<Verdict> Retention::judge(std::string_view name, std::size_t keep) const {
  const std::vector<ImageEntry> all = view_.images();
  std::vector<Verdict> out;
  for (const ImageEntry& entry : all)
    if (entry.image.name == name && entry.owner == view_.account().name && entry.is_there()) {
      Verdict verdict{entry, false, ""};
      if (out.size() < keep) {
        verdict.why = "one of the newest " + std::to_string(keep);
      } else {
        verdict.why = reason_to_stay(entry, all);
        verdict.goes = verdict.why.empty();
        if (verdict.goes) verdict.why = "older than the newest " + std::to_string(keep) + ", and nothing needs it";
      }
      out.push_back(std::move(verdict));
    }
  if (out.empty())
    throw invalid("there is no image \"" + std::string(name) + "\" of yours", "see which there are: kiln image list");
  return out;
}

std::vector<ImageEntry> Retention::carry_out(const std::vector<Verdict>& verdicts, const Moment& purge_at) const {
  std::vector<ImageEntry> gone;
  for (const Verdict& verdict : verdicts) {
    if (!verdict.goes) continue;
    const auto now = view_.find_id(verdict.entry.image.id);
    if (!now || !now->is_there() || !reason_to_stay(*now, view_.images()).empty()) continue;
    gone.push_back(Life(view_).trash(now->image.id, users_(*now), purge_at));
  }
  return gone;
}

}  // namespace kiln
