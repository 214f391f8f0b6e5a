#include "engine/launch_policy.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include <kiln/file.h>
#include <kiln/text.h>
#include <kiln/value.h>

#include "engine/diagnostics.h"

namespace kiln::engine {
namespace {

const std::vector<std::string> settings{"mode", "own", "allow"}, conditions{"owner", "key", "max_age", "channel"};

Place place_of(const toml::source_region& region, std::size_t length = 1) {
  return {region.begin.line, region.begin.column, std::max<std::size_t>(length, 1)};
}

std::string known_or_nearest(std::string_view word, const std::vector<std::string>& known) {
  if (const auto near = nearest(word, known)) return "did you mean \"" + *near + "\"?";
  return fmt::format("it may hold \"{}\"", fmt::join(known, "\", \""));
}

/// "90d", "12h": days are not among the durations of pipelines.
std::optional<std::chrono::seconds> parse_age(const std::string& text) {
  const bool days = text.ends_with('d');
  const auto parsed = parse_duration(days ? text.substr(0, text.size() - 1) + "h" : text);
  constexpr Duration longest = std::chrono::hours(24 * 366 * 1000);  // so that days do not overflow
  if (!parsed || *parsed > longest) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(*parsed) * (days ? 24 : 1);
}

/// One pass over the parsed file that fills a LaunchPolicy.
class Reader {
 public:
  explicit Reader(LaunchPolicy& policy) : policy_(policy) {}

  void read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (key == "mode") {
        mode(node);
      } else if (key == "own") {
        if (const auto own = node.value_exact<bool>())
          policy_.own = *own;
        else
          problem(place_of(node.source()), "\"own\" takes true or false");
      } else if (key == "allow") {
        rules(node);
      } else {
        unknown(key, "setting", settings);
      }
    }
    if (!root.contains("mode"))
      problem({1, 1, 1}, "\"mode\" is missing", "write mode = \"enforce\", or mode = \"audit\" to be warned only");
    // A table's entries come by name; a person reads a file by line.
    std::ranges::stable_sort(problems, {}, [](const Diagnostic& d) { return d.place.line; });
  }

  void problem(Place place, std::string what, std::string hint = {}) {
    problems.push_back(
        {.file = policy_.file.string(), .place = place, .what = std::move(what), .hint = std::move(hint)});
  }

  std::vector<Diagnostic> problems;

 private:
  void unknown(const toml::key& key, const std::string& kind, const std::vector<std::string>& known) {
    const std::string name(key.str());
    problem(place_of(key.source(), name.size()), "unknown " + kind + " \"" + name + '"', known_or_nearest(name, known));
  }

  void mode(const toml::node& node) {
    const auto text = node.value_exact<std::string>();
    if (text != "audit" && text != "enforce")
      return problem(place_of(node.source()), "\"mode\" takes \"audit\" or \"enforce\"",
                     "\"audit\" warns and goes on, \"enforce\" refuses");
    policy_.mode = *text == "audit" ? LaunchPolicy::Mode::audit : LaunchPolicy::Mode::enforce;
  }

  void rules(const toml::node& node) {
    const toml::array* array = node.as_array();
    if (array == nullptr || !array->is_homogeneous<toml::table>())
      return problem(place_of(node.source()), "\"allow\" is a list of tables", "begin each rule with [[allow]]");
    for (const toml::node& item : *array) rule(*item.as_table());
  }

  void rule(const toml::table& table) {
    AllowRule rule{.line = table.source().begin.line};
    std::vector<std::pair<std::size_t, std::string>> words;  // by line and column, as written
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const auto text = node.value_exact<std::string>();
      if (!std::ranges::count(conditions, name)) {
        unknown(key, "condition", conditions);
        continue;
      }
      if (!text || text->empty()) {
        problem(place_of(node.source()), '"' + name + "\" takes a string that is not empty");
        continue;
      }
      condition(rule, name, *text, node);
      words.emplace_back(node.source().begin.line * 1000 + node.source().begin.column, name + " = \"" + *text + '"');
    }
    if (table.empty())
      problem(place_of(table.source(), 9), "a rule without conditions would allow everything",
              known_or_nearest("", conditions));
    std::ranges::sort(words);
    for (const auto& [at, word] : words) rule.text += (rule.text.empty() ? "" : ", ") + word;
    policy_.rules.push_back(std::move(rule));
  }

  void condition(AllowRule& rule, const std::string& name, const std::string& text, const toml::node& node) {
    if (name == "owner") rule.owner = text;
    if (name == "key") rule.key = text;
    if (name == "channel") rule.channel = text;
    if (name != "max_age") return;
    rule.max_age = parse_age(text);
    if (!rule.max_age)
      problem(place_of(node.source(), text.size() + 2),
              "\"max_age\" takes a number of days or hours, not \"" + text + '"', "for example max_age = \"90d\"");
  }

  LaunchPolicy& policy_;
};

std::string at(const std::filesystem::path& file, const Place& place) {
  return fmt::format("{}:{}:{}: ", file.string(), place.line, place.column);
}

/// All that is wrong as one error: the first mistake with its line, as pipelines show it, then the others.
Error mistaken(const LaunchPolicy& policy, const std::vector<Diagnostic>& problems, const std::string& text) {
  const Diagnostic& first = problems.front();
  std::vector<std::string> evidence;
  std::istringstream stream(text);
  std::string line;
  for (std::size_t n = 0; n < first.place.line; ++n) std::getline(stream, line);
  std::ranges::replace(line, '\t', ' ');
  evidence.push_back(fmt::format("{:>4} | {}", first.place.line, printable(line)));
  evidence.push_back(
      fmt::format("     | {:>{}}", std::string(first.place.length, '^'), first.place.column - 1 + first.place.length));
  for (std::size_t i = 1; i < problems.size(); ++i)
    evidence.push_back(at(policy.file, problems[i].place) + problems[i].what);
  return refused(
      at(policy.file, first.place) + first.what,
      first.hint.empty() ? "correct the launch policy: what cannot be understood allows nothing" : first.hint,
      evidence);
}

std::string days_and_hours(std::chrono::seconds age) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(age).count();
  return hours >= 48 ? fmt::format("{} days", hours / 24) : fmt::format("{} hours", hours);
}

std::string lacking_key(const std::string& wanted, const Candidate& image) {
  for (const Candidate::Signer& signer : image.signers)
    if (signer.name == wanted || signer.id == wanted) return "key: its signature by \"" + wanted + "\" is bad";
  std::string signers;
  for (const Candidate::Signer& signer : image.signers)
    if (signer.is_good) signers += (signers.empty() ? "" : ", ") + signer.name;
  return "key: it is signed by " + (signers.empty() ? "no key that is trusted here" : signers) + ", not by \"" +
         wanted + '"';
}

std::vector<std::string> lacks_of(const AllowRule& rule, const Candidate& image) {
  std::vector<std::string> out;
  if (rule.owner && *rule.owner != image.owner) out.push_back("owner: it belongs to " + image.owner);
  const auto signs = [&](const Candidate::Signer& s) {
    return s.is_good && (s.name == *rule.key || s.id == *rule.key);
  };
  if (rule.key && !std::ranges::any_of(image.signers, signs)) out.push_back(lacking_key(*rule.key, image));
  if (rule.max_age && image.age > *rule.max_age) out.push_back("max_age: it is " + days_and_hours(image.age) + " old");
  if (rule.channel && !std::ranges::count(image.channels, *rule.channel))
    out.push_back(image.channels.empty() ? "channel: no channel points at it"
                                         : fmt::format("channel: it is {}", fmt::join(image.channels, ", ")));
  return out;
}

std::string rule_line(const LaunchPolicy& policy, const PolicyDecision& decision) {
  if (decision.line == 0) return policy.file.string() + ": has no [[allow]] rule";
  return fmt::format("{}:{}: the nearest rule: {}", policy.file.string(), decision.line, decision.rule);
}

}  // namespace

std::optional<LaunchPolicy> read_launch_policy(const std::filesystem::path& file) {
  LaunchPolicy policy{.file = file};
  std::error_code failed;
  // A link to nowhere is a policy that cannot be read, not none.
  if (std::filesystem::symlink_status(file, failed).type() == std::filesystem::file_type::not_found)
    return std::nullopt;
  std::string text;
  try {
    text = read_text(file, 1u << 16);
  } catch (const Error& error) {
    throw refused("the launch policy cannot be read, so nothing may run: " + std::string(error.what()),
                  "make it readable, or ask whoever keeps it");
  }
  Reader reader(policy);
  try {
    reader.read(toml::parse(std::string_view(text), file.string()));
  } catch (const toml::parse_error& error) {
    reader.problem(place_of(error.source()), "not valid TOML: " + std::string(error.description()),
                   "strings need quotes; a rule begins with [[allow]]");
  }
  if (!reader.problems.empty()) throw mistaken(policy, reader.problems, text);
  return policy;
}

PolicyDecision decide(const LaunchPolicy& policy, const Candidate& image) {
  if (image.is_own && policy.own) return {.allowed = true};
  PolicyDecision nearest;
  for (const AllowRule& rule : policy.rules) {
    std::vector<std::string> lacks = lacks_of(rule, image);
    if (lacks.empty()) return {.allowed = true, .line = rule.line, .rule = rule.text};
    if (nearest.line == 0 || lacks.size() < nearest.lacks.size())
      nearest = {.allowed = false, .line = rule.line, .rule = rule.text, .lacks = std::move(lacks)};
  }
  return nearest;
}

Error refusal(const LaunchPolicy& policy, const Candidate& image, const PolicyDecision& decision) {
  std::vector<std::string> evidence{rule_line(policy, decision)};
  evidence.insert(evidence.end(), decision.lacks.begin(), decision.lacks.end());
  return refused("image " + image.image + " may not run: no rule of the launch policy allows it",
                 "use an image that the policy allows, or ask whoever keeps " + policy.file.string() + " for a rule",
                 evidence);
}

std::string audit_warning(const LaunchPolicy& policy, const Candidate& image, const PolicyDecision& decision) {
  return fmt::format("image {} is allowed by no rule of the launch policy: {}{}{}", image.image,
                     rule_line(policy, decision), decision.lacks.empty() ? "" : "; ", fmt::join(decision.lacks, "; "));
}

}  // namespace kiln::engine
