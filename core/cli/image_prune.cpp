// kiln image prune: puts old versions of an image into the trash, by a rule that says why each stays or goes.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/names.h"
#include "catalog/retention.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

void print(Output& out, const std::vector<Verdict>& verdicts, bool dry_run) {
  TextTable table{{"VERSION", "", "WHY"}};
  for (const Verdict& v : verdicts)
    table.rows.push_back({v.entry.image.version, !v.goes ? "stays" : dry_run ? "would go" : "goes", v.why});
  out.table(table);
}

/// Of "web", or of one's own "alice/web".
std::string own_name(Call& call, const std::string& given) {
  const Reference wanted = parse_reference(given);
  if (!wanted.tag.empty())
    throw invalid(fmt::format("kiln image prune takes a name, not \"{}\"", given), "kiln image prune " + wanted.name);
  const std::string account = call.services.catalog().view().account().name;
  if (!wanted.owner.empty() && wanted.owner != account)
    throw invalid(fmt::format("only images of your own are pruned, not \"{}\"", given),
                  "see which are yours: kiln image list --owner " + account);
  return wanted.name;
}

}  // namespace

int run_image_prune(Call& call) {
  const std::string name = own_name(call, call.args.text("NAME"));
  const KeepRule keep = KeepRule::parse(call.args.text("keep", "3"));
  const bool dry_run = call.args.has("dry-run");
  const Retention retention(call.services.catalog().view(),
                            [&call](const ImageEntry& entry) { return call.services.machines().users_of(entry); });
  if (!dry_run) call.services.machines().record_uses();
  const std::vector<Verdict> verdicts = retention.judge(name, keep);
  std::vector<ImageEntry> gone;
  if (!dry_run) gone = retention.carry_out(verdicts, parse_moment("+7d"));
  if (call.out.json()) {
    Json all = Json::array();
    for (const Verdict& v : verdicts) all.push_back({{"image", v.entry.reference()}, {"goes", v.goes}, {"why", v.why}});
    Json trashed = Json::array();
    for (const ImageEntry& entry : gone) trashed.push_back(entry.reference());
    call.out.object({{"versions", all}, {"trashed", trashed}, {"dry_run", dry_run}});
    return 0;
  }
  print(call.out, verdicts, dry_run);
  if (!dry_run)
    call.out.line(fmt::format("{} put into the trash for 7 days; kiln image restore brings one back", gone.size()));
  return 0;
}

}  // namespace kiln::cli
