// kiln share: an image for other accounts of the same catalog, and what was offered to this one.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/sharing.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Sharing sharing_of(Call& call) {
  return Sharing(call.services.catalog().view());
}

const std::vector<std::string>& members_of(Call& call, std::string_view verb) {
  if (!call.args.has("with"))
    throw invalid(fmt::format("kiln {}: --with is missing", verb), fmt::format("kiln {} IMAGE --with ACCOUNT", verb));
  return call.args.all("with");
}

Json share_json(const Share& share) {
  return {
      {"account", share.member}, {"state", to_text(share.state)}, {"copy", share.may_copy}, {"since", share.created}};
}

int list_members(Call& call, const std::string& reference) {
  const std::vector<Share> members = sharing_of(call).members(reference);
  const std::string image = full_reference(call.services.catalog().show(reference, Action::share));
  if (call.out.json()) {
    Json all = Json::array();
    for (const Share& share : members) all.push_back(share_json(share));
    call.out.object({{"image", image}, {"members", all}});
    return 0;
  }
  if (members.empty()) {
    call.out.line(printable(image + " is shared with nobody"));
    return 0;
  }
  TextTable table{{"ACCOUNT", "STATE", "COPY", ">AGE"}};
  for (const Share& share : members)
    table.rows.push_back(
        {share.member, std::string(to_text(share.state)), share.may_copy ? "yes" : "no", age_of(share.created)});
  call.out.table(table);
  return 0;
}

int list_offered(Call& call) {
  const std::vector<OfferedImage> offered = sharing_of(call).offered();
  if (call.out.json()) {
    Json all = Json::array();
    for (const OfferedImage& offer : offered) {
      Json row = image_json(offer.entry);
      row["source"] = source_json(offer.entry);
      row["share"] = share_json(offer.share);
      all.push_back(row);
    }
    call.out.object({{"offered", all}});
    return 0;
  }
  if (offered.empty()) {
    call.out.line("nothing was shared with you");
    return 0;
  }
  TextTable table{{"IMAGE", "SHARE", "STATE", "COPY", "SOURCE", ">AGE"}};
  for (const OfferedImage& offer : offered)
    table.rows.push_back({full_reference(offer.entry), std::string(to_text(offer.share.state)),
                          std::string(to_text(offer.entry.state())), offer.share.may_copy ? "yes" : "no",
                          source_text(offer.entry), age_of(offer.share.created)});
  call.out.table(table);
  return 0;
}

/// Who is asked, and what changes for those who have accepted before.
std::string offer_text(const ImageEntry& entry, const std::vector<Share>& before,
                       const std::vector<std::string>& members, bool may_copy) {
  std::vector<std::string> asked;
  std::string told;
  for (const std::string& member : members) {
    const auto share = std::ranges::find(before, member, &Share::member);
    if (share == before.end() || share->state != Share::State::accepted)
      asked.push_back(member);
    else
      told += fmt::format("; {} has accepted it already, and {}", member,
                          share->may_copy && !may_copy   ? "may not copy it any longer"
                          : !share->may_copy && may_copy ? "may copy it from now on"
                                                         : "nothing changes");
  }
  if (asked.empty()) return entry.reference() + ":" + told.substr(1);
  return fmt::format("{} is offered to {}, who may accept with: kiln share accept {}{}", entry.reference(),
                     listed(asked), full_reference(entry), told);
}

}  // namespace

int run_share_add(Call& call) {
  const auto& members = members_of(call, "share add");
  Sharing sharing = sharing_of(call);
  const std::vector<Share> before = sharing.members(call.args.text("IMAGE"));
  const bool may_copy = call.args.has("copy");
  const ImageEntry entry = sharing.offer(call.args.text("IMAGE"), members, may_copy);
  answer_image(call.out, entry, offer_text(entry, before, members, may_copy));
  return 0;
}

int run_share_cancel(Call& call) {
  const auto& members = members_of(call, "share cancel");
  const ImageEntry entry = sharing_of(call).cancel(call.args.text("IMAGE"), members);
  answer_image(
      call.out, entry,
      fmt::format("{} is not shared with {} any longer; instances that run go on", entry.reference(), listed(members)));
  return 0;
}

int run_share_list(Call& call) {
  return call.args.has("IMAGE") ? list_members(call, call.args.text("IMAGE")) : list_offered(call);
}

int run_share_accept(Call& call) {
  const ImageEntry entry = sharing_of(call).accept(call.args.text("IMAGE"));
  const std::string source = source_text(entry);
  answer_image(call.out, entry,
               fmt::format("accepted {}{}; launch it with: kiln launch {}", full_reference(entry),
                           source.empty() ? "" : ", made from " + source, full_reference(entry)));
  return 0;
}

int run_share_reject(Call& call) {
  const ImageEntry entry = sharing_of(call).reject(call.args.text("IMAGE"));
  answer_image(call.out, entry, fmt::format("rejected {}", full_reference(entry)));
  return 0;
}

}  // namespace kiln::cli
