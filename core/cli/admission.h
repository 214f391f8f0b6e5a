#pragma once
// What the launch policy says to an image: looks up what is known of it, and asks core/engine/launch_policy.

#include <optional>
#include <string>
#include <vector>

#include "catalog/image_signature.h"
#include "catalog/view.h"
#include "cli/home.h"
#include "engine/launch_policy.h"

namespace kiln::cli {

/// The policy of this home, and its decision about one image.
struct Admission {
  engine::LaunchPolicy policy;
  engine::Candidate image;
  engine::PolicyDecision decision;
};

/// Nothing when there is no policy. Throws refused() for a policy that cannot be understood.
std::optional<Admission> ask_policy(const Home&, const CatalogView&, const ImageEntry&);

/// Throws refused() when the policy is to be enforced and does not allow the image. Returns warnings otherwise.
std::vector<std::string> admit(const Home&, const CatalogView&, const ImageEntry&);

/// What is recorded of an image's signatures, and what this home's keys say to them.
std::vector<CheckedSignature> signatures_of(const Home&, const CatalogView&, const ImageEntry&);

}  // namespace kiln::cli
