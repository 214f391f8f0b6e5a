// kiln policy check: whether the launch policy lets an image run, and by which rule.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/admission.h"
#include "cli/errors.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Json answer_json(const ImageEntry& entry, const std::optional<Admission>& asked) {
  Json json = {{"image", full_reference(entry)}, {"allowed", true}, {"mode", nullptr}, {"policy", nullptr}};
  if (!asked) return json;
  const engine::PolicyDecision& decision = asked->decision;
  json["allowed"] = decision.allowed;
  json["mode"] = asked->policy.mode == engine::LaunchPolicy::Mode::audit ? "audit" : "enforce";
  json["policy"] = asked->policy.file.string();
  json["line"] = decision.line == 0 ? Json(nullptr) : Json(decision.line);
  json["rule"] = decision.line == 0 ? Json(nullptr) : Json(decision.rule);
  json["lacks"] = decision.lacks;
  return json;
}

std::string answer_text(const ImageEntry& entry, const std::optional<Admission>& asked) {
  const std::string image = full_reference(entry);
  if (!asked) return image + " may run: there is no launch policy";
  const engine::PolicyDecision& decision = asked->decision;
  if (!decision.allowed) return image + " may run, because the launch policy only audits";
  if (decision.line == 0) return image + " may run: it is yours";
  return fmt::format("{} may run: {}:{}: {}", image, asked->policy.file.string(), decision.line, decision.rule);
}

}  // namespace

int run_policy_check(Call& call) {
  const CatalogView view = call.services.catalog().view();
  const ImageEntry entry = view.resolve(call.args.text("IMAGE"), Action::launch);
  const auto asked = ask_policy(call.services.home(), view, entry);
  if (call.out.json() && asked && !asked->decision.allowed &&
      asked->policy.mode == engine::LaunchPolicy::Mode::enforce) {
    call.out.object(answer_json(entry, asked));  // whoever asks wants the answer, which is no error
    return static_cast<int>(Failure::refused);
  }
  const std::vector<std::string> warnings = admit(call.services.home(), view, entry);
  if (call.out.json()) {
    Json json = answer_json(entry, asked);
    json["warnings"] = warnings;
    call.out.object(json);
    return 0;
  }
  for (const std::string& warning : warnings) print_warning(warning);
  call.out.line(printable(answer_text(entry, asked)));
  return 0;
}

}  // namespace kiln::cli
