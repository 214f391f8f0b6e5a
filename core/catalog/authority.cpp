#include "catalog/authority.h"

#include <kiln/error.h>

namespace kiln {
namespace {

using Role = Standing::Role;

// Sets of roles and of states, as bits.
constexpr unsigned bit(Role role) {
  return 1u << static_cast<unsigned>(role);
}
constexpr unsigned bit(ImageState state) {
  return 1u << static_cast<unsigned>(state);
}

constexpr unsigned keepers = bit(Role::owner) | bit(Role::operator_);
constexpr unsigned everybody = ~0u;

constexpr unsigned any_state = ~0u;
constexpr unsigned usable = bit(ImageState::available) | bit(ImageState::deprecated);
constexpr unsigned readable = usable | bit(ImageState::obsolete);
constexpr unsigned alive = readable | bit(ImageState::revoked);

struct Rule {
  Action action;
  std::string_view name;  ///< "web:1 is revoked and cannot be <name>"
  unsigned roles;         ///< who may
  bool public_too;        ///< everybody may when the image is public
  unsigned states;        ///< in which it is possible
};

constexpr unsigned users = keepers | bit(Role::accepted);

constexpr Rule rules[] = {
    {Action::see, "seen", keepers | bit(Role::accepted) | bit(Role::pending), true, any_state},
    {Action::launch, "launched", users, true, usable},
    {Action::build, "built from", users, true, usable},
    {Action::write_out, "exported", keepers, true, readable},
    {Action::copy, "copied", keepers, true, readable},
    {Action::change, "changed", keepers, false, alive | bit(ImageState::failed)},
    {Action::promote, "promoted", keepers, false, usable},
    {Action::share, "shared", keepers, false, alive},
    {Action::retire, "deprecated", keepers, false, alive},
    {Action::revoke, "revoked", keepers, false, alive | bit(ImageState::trashed)},  // for the sake of its children
    {Action::trash, "put into the trash", keepers, false, alive | bit(ImageState::failed)},
    {Action::restore, "restored", keepers, false, bit(ImageState::trashed)},
    {Action::purge, "purged", keepers, false, bit(ImageState::trashed) | bit(ImageState::failed)},
    {Action::answer, "accepted or rejected", 0, false, alive},  // members, whatever else they are: see decide()
    {Action::open_up, "made public", bit(Role::operator_), false, alive},
    {Action::verify, "verified", users, true, alive | bit(ImageState::trashed)},
};

const Rule& rule_of(Action action) {
  for (const Rule& rule : rules)
    if (rule.action == action) return rule;
  throw Error("an action without a rule", "this is a bug in kiln");
}

bool sees(const Standing& standing, ImageState state, bool is_public) {
  if ((bit(standing.role) & keepers) != 0) return true;
  constexpr unsigned shown = alive;
  if ((bit(state) & shown) == 0) return false;
  return is_public || (bit(standing.role) & rule_of(Action::see).roles) != 0;
}

}  // namespace

Decision decide(Action action, const Standing& standing, ImageState state, bool is_public) {
  if (!sees(standing, state, is_public)) return Decision::hidden;
  const Rule& rule = rule_of(action);
  const bool granted = action == Action::answer
                           ? standing.is_member
                           : action == Action::copy && standing.role == Role::accepted && standing.may_copy;
  const unsigned roles = is_public && rule.public_too ? everybody : rule.roles;
  if ((bit(standing.role) & roles) == 0 && !granted) return Decision::denied;
  return (bit(state) & rule.states) != 0 ? Decision::allowed : Decision::barred;
}

void require(Action action, const Standing& standing, const ImageEntry& entry) {
  const ImageState state = entry.state();
  const std::string image = "image " + entry.reference();
  const std::string name(rule_of(action).name);
  switch (decide(action, standing, state, entry.is_public)) {
    case Decision::allowed:
      return;
    case Decision::hidden:
      throw invalid("there is no " + image, "see which images there are: kiln image list");
    case Decision::denied:
      if (standing.role == Role::pending && (bit(Role::accepted) & rule_of(action).roles) != 0)
        throw refused(image + " is not accepted yet", "kiln share accept " + entry.owner + "/" + entry.reference());
      throw refused(image + " belongs to " + entry.owner + " and cannot be " + name + " by you",
                    "a shared image can be launched and built from; ask " + entry.owner + " for more");
    case Decision::barred:
      break;
  }
  const std::string to_type = entry.reference_for(standing.account);
  std::string hint = "see what is known of it: kiln image show " + to_type;
  if (!entry.life.replacement.empty()) hint = "use " + entry.replacement_for(standing.account) + " instead";
  if (state == ImageState::trashed) hint = "restore it first: kiln image restore " + to_type;
  std::vector<std::string> evidence;
  if (state == ImageState::revoked && !entry.life.reason.empty()) evidence.push_back("reason: " + entry.life.reason);
  throw refused(image + " is " + std::string(to_text(state)) + " and cannot be " + name, hint, evidence);
}

}  // namespace kiln
