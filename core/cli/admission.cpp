#include "cli/admission.h"

#include <algorithm>
#include <ctime>

#include "cli/image_answers.h"

namespace kiln::cli {
namespace {

using Verdict = CheckedSignature::Verdict;

/// Of the oldest moment that is known of its making: a copy, and whoever changes a record, cannot make an image younger
/// than its signature says.
std::chrono::seconds age_of(const ImageEntry& entry, const std::vector<CheckedSignature>& signatures) {
  Moment made = entry.image.created;
  for (const CheckedSignature& one : signatures)
    if (one.verdict == Verdict::good) made = std::min(made, one.signature.made);
  std::tm parts{};
  if (::strptime(made.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return std::chrono::seconds::max();
  return std::chrono::seconds(std::time(nullptr) - ::timegm(&parts));
}

engine::Candidate candidate_of(const CatalogView& view, const ImageEntry& entry,
                               const std::vector<CheckedSignature>& signatures) {
  engine::Candidate image{.image = full_reference(entry),
                          .owner = entry.owner,
                          .is_own = entry.owner == view.account().name,
                          .age = age_of(entry, signatures),
                          .channels = entry.channels};
  for (const CheckedSignature& one : signatures)
    if (one.verdict != Verdict::unknown)
      image.signers.push_back({one.name, one.signature.key, one.verdict == Verdict::good});
  return image;
}

}  // namespace

std::vector<CheckedSignature> signatures_of(const Home& home, const CatalogView& view, const ImageEntry& entry) {
  return check_signatures(view, entry, KeyRing(home.keys()).keys());
}

std::optional<Admission> ask_policy(const Home& home, const CatalogView& view, const ImageEntry& entry) {
  auto policy = engine::read_launch_policy(home.policy());
  if (!policy) return std::nullopt;
  const engine::Candidate image = candidate_of(view, entry, signatures_of(home, view, entry));
  return Admission{*policy, image, engine::decide(*policy, image)};
}

std::vector<std::string> admit(const Home& home, const CatalogView& view, const ImageEntry& entry) {
  const auto asked = ask_policy(home, view, entry);
  if (!asked || asked->decision.allowed) return {};
  if (asked->policy.mode == engine::LaunchPolicy::Mode::enforce)
    throw engine::refusal(asked->policy, asked->image, asked->decision);
  return {engine::audit_warning(asked->policy, asked->image, asked->decision)};
}

}  // namespace kiln::cli
