#pragma once
// Which images of others may run here: $KILN_HOME/policy.toml.
//
//     mode = "enforce"        # or "audit": warn and go on
//     own  = true             # one's own images are always allowed; this is the default
//
//     [[allow]]               # all conditions of a rule must hold; any rule suffices
//     owner   = "alice"
//     key     = "release"     # a good signature by the key of that name, or id, of kiln key list
//     max_age = "90d"
//     channel = "stable"
//
// Only reads and decides: whoever asks has looked up what is known of the image.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <kiln/error.h>

namespace kiln::engine {

struct AllowRule {
  std::size_t line = 0;  ///< of its [[allow]]
  std::optional<std::string> owner = {}, key = {}, channel = {};
  std::optional<std::chrono::seconds> max_age = {};
  /// As written: `owner = "alice", max_age = "90d"`.
  std::string text = {};
};

struct LaunchPolicy {
  enum class Mode { audit, enforce };
  std::filesystem::path file;
  Mode mode = Mode::enforce;
  bool own = true;  ///< one's own images need no rule
  std::vector<AllowRule> rules = {};
};

/// What is known of an image that shall run.
struct Candidate {
  struct Signer {
    std::string name, id;  ///< of a key that is here
    bool is_good;
  };
  std::string image;  ///< "alice/web:1"
  std::string owner;
  bool is_own = false;
  std::chrono::seconds age{};
  std::vector<std::string> channels = {};  ///< that point at it
  std::vector<Signer> signers = {};
};

struct PolicyDecision {
  bool allowed = false;
  std::size_t line = 0;                 ///< of the rule that allows it, or that came nearest; 0: none
  std::string rule = {};                ///< its text
  std::vector<std::string> lacks = {};  ///< of the nearest rule: what the image does not fulfil
};

/// Nothing when there is no such file: then everything may run. Throws refused() that names file, line and column of
/// the first mistake, shows the line, and lists the other mistakes, because what cannot be understood forbids all.
std::optional<LaunchPolicy> read_launch_policy(const std::filesystem::path&);

PolicyDecision decide(const LaunchPolicy&, const Candidate&);

/// Of an image that is not allowed: names the file, the rule that came nearest, and why it does not hold.
Error refusal(const LaunchPolicy&, const Candidate&, const PolicyDecision&);
/// The same as one sentence, for audits.
std::string audit_warning(const LaunchPolicy&, const Candidate&, const PolicyDecision&);

}  // namespace kiln::engine
