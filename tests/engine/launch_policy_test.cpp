#include "engine/launch_policy.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "support/temp.h"

namespace kiln::engine {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class LaunchPolicyTest : public testing::Test {
 protected:
  LaunchPolicy read(const std::string& text) {
    std::ofstream(file) << text;
    return read_launch_policy(file).value();
  }
  std::string plain(std::string text) const {
    for (auto at = text.find(file.string()); at != std::string::npos; at = text.find(file.string()))
      text.replace(at, file.string().size(), "FILE");
    return text;
  }
  /// What is wrong with the text: the fact, the hint, the evidence, each on a line.
  std::string mistake(const std::string& text) {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::refused);
      std::string all = std::string(error.what()) + "\n" + error.hint();
      for (const std::string& line : error.evidence()) all += "\n" + line;
      return plain(all);
    }
    return "no mistake";
  }
  /// Of the rule's table of decisions: "allowed by LINE", or what the nearest rule lacks.
  std::string decision(const std::string& rules, const Candidate& of) {
    const PolicyDecision d = decide(read("mode = \"enforce\"\n" + rules), of);
    if (d.allowed) return "allowed by " + std::to_string(d.line);
    std::string out = std::to_string(d.line);
    for (const std::string& lack : d.lacks) out += " " + lack.substr(0, lack.find(':'));
    return out;
  }

  test::TempDir dir;
  std::filesystem::path file = dir / "policy.toml";
  Candidate image{.image = "alice/web:1",
                  .owner = "alice",
                  .is_own = false,
                  .age = 24h * 10,
                  .channels = {"stable", "testing"},
                  .signers = {{"release", std::string(64, 'a'), true}, {"old", std::string(64, 'b'), false}}};
};

TEST_F(LaunchPolicyTest, WithoutAFileThereIsNone) {
  EXPECT_FALSE(read_launch_policy(file));
}

TEST_F(LaunchPolicyTest, WhatCannotBeReadAllowsNothing) {
  std::filesystem::create_symlink(dir / "nowhere", file);
  try {
    (void)read_launch_policy(file);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.failure(), Failure::refused);
    EXPECT_THAT(error.what(), testing::StartsWith("the launch policy cannot be read, so nothing may run: "));
  }
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  EXPECT_THROW((void)read_launch_policy(file), Error);
}

TEST_F(LaunchPolicyTest, ReadsRulesWithTheirLines) {
  const LaunchPolicy policy = read(
      "mode = \"audit\"\nown = false\n\n[[allow]]\nowner = \"alice\"\nmax_age = \"2d\"\n\n[[allow]]\nkey = "
      "'release'\n");
  EXPECT_EQ(policy.mode, LaunchPolicy::Mode::audit);
  EXPECT_FALSE(policy.own);
  ASSERT_EQ(policy.rules.size(), 2U);
  EXPECT_EQ(policy.rules[0].line, 4U);
  EXPECT_EQ(policy.rules[0].owner, "alice");
  EXPECT_EQ(policy.rules[0].max_age, 48h);
  EXPECT_EQ(policy.rules[0].text, "owner = \"alice\", max_age = \"2d\"");
  EXPECT_EQ(policy.rules[1].line, 8U);
  EXPECT_EQ(policy.rules[1].key, "release");
}

// Each condition alone, held and not held, and all pairs of them: a rule allows when all of it holds.
TEST_F(LaunchPolicyTest, AllConditionsOfARuleMustHold) {
  struct Condition {
    std::string name, held, not_held;
  };
  const Condition all[] = {{"owner", "owner = \"alice\"\n", "owner = \"bob\"\n"},
                           {"key", "key = \"release\"\n", "key = \"old\"\n"},
                           {"max_age", "max_age = \"10d\"\n", "max_age = \"239h\"\n"},
                           {"channel", "channel = \"testing\"\n", "channel = \"edge\"\n"}};
  for (const Condition& a : all) {
    EXPECT_EQ(decision("[[allow]]\n" + a.held, image), "allowed by 2") << a.name;
    EXPECT_EQ(decision("[[allow]]\n" + a.not_held, image), "2 " + a.name);
    for (const Condition& b : all) {
      if (&a == &b) continue;
      EXPECT_EQ(decision("[[allow]]\n" + a.held + b.held, image), "allowed by 2") << a.name << b.name;
      EXPECT_EQ(decision("[[allow]]\n" + a.held + b.not_held, image), "2 " + b.name) << a.name;
    }
  }
}

TEST_F(LaunchPolicyTest, AnyRuleSufficesAndTheNearestIsNamed) {
  const std::string strangers = "[[allow]]\nowner = \"bob\"\nchannel = \"edge\"\n";
  EXPECT_EQ(decision(strangers + "[[allow]]\nowner = \"alice\"\n", image), "allowed by 5");
  EXPECT_EQ(decision(strangers + "[[allow]]\nowner = \"alice\"\nchannel = \"edge\"\n", image), "5 channel");
  EXPECT_EQ(decision("", image), "0");
}

TEST_F(LaunchPolicyTest, AKeyIsNamedByNameOrId) {
  EXPECT_EQ(decision("[[allow]]\nkey = \"" + std::string(64, 'a') + "\"\n", image), "allowed by 2");
  EXPECT_EQ(decision("[[allow]]\nkey = \"" + std::string(64, 'b') + "\"\n", image), "2 key");
  EXPECT_EQ(decision("[[allow]]\nkey = \"nobody\"\n", image), "2 key");
}

TEST_F(LaunchPolicyTest, OnesOwnImagesNeedARuleOnlyWhenItSaysSo) {
  image.is_own = true;
  EXPECT_EQ(decision("", image), "allowed by 0");
  EXPECT_EQ(decision("own = true\n", image), "allowed by 0");
  EXPECT_EQ(decision("own = false\n", image), "0");
  EXPECT_EQ(decision("own = false\n[[allow]]\nowner = \"alice\"\n", image), "allowed by 3");
}

TEST_F(LaunchPolicyTest, ARefusalNamesFileLineRuleAndReason) {
  const LaunchPolicy policy = read(
      "mode = \"enforce\"\n[[allow]]\nowner = \"bob\"\nkey = \"old\"\nmax_age = \"9d\"\nchannel = \"edge\"\n"
      "[[allow]]\nkey = \"nobody\"\n");
  LaunchPolicy first = policy;
  first.rules.pop_back();
  const Error error = refusal(first, image, decide(first, image));
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_STREQ(error.what(), "image alice/web:1 may not run: no rule of the launch policy allows it");
  EXPECT_EQ(plain(error.hint()), "use an image that the policy allows, or ask whoever keeps FILE for a rule");
  EXPECT_EQ(plain(error.evidence().at(0)),
            "FILE:2: the nearest rule: owner = \"bob\", key = \"old\", max_age = \"9d\", channel = \"edge\"");
  EXPECT_THAT(decide(first, image).lacks,
              ElementsAre("owner: it belongs to alice", "key: its signature by \"old\" is bad",
                          "max_age: it is 10 days old", "channel: it is stable, testing"));
  EXPECT_EQ(plain(audit_warning(policy, image, decide(policy, image))),
            "image alice/web:1 is allowed by no rule of the launch policy: FILE:7: the nearest rule: key = \"nobody\"; "
            "key: it is signed by release, not by \"nobody\"");
  image.signers.clear();
  EXPECT_THAT(decide(policy, image).lacks,
              ElementsAre("key: it is signed by no key that is trusted here, not by \"nobody\""));
  const LaunchPolicy none = read("mode = \"enforce\"\n");
  EXPECT_EQ(plain(refusal(none, image, decide(none, image)).evidence().at(0)), "FILE: has no [[allow]] rule");
}

TEST_F(LaunchPolicyTest, AMistakeIsShownInItsLine) {
  EXPECT_EQ(mistake("mode = \"enforce\"\n[[allow]]\nowner = \"alice\"\nmaxage = \"9d\"\n"),
            "FILE:4:1: unknown condition \"maxage\"\ndid you mean \"max_age\"?\n   4 | maxage = \"9d\"\n     | ^^^^^^");
  EXPECT_EQ(mistake("mode = \"enforce\"\ncolour = 1\nowner = \"alice\"\n"),
            "FILE:2:1: unknown setting \"colour\"\nit may hold \"mode\", \"own\", \"allow\"\n   2 | colour = 1\n     | "
            "^^^^^^\nFILE:3:1: unknown setting \"owner\"");
}

TEST_F(LaunchPolicyTest, EveryMistakeForbids) {
  const std::string head = "mode = \"enforce\"\n";
  for (const auto& [text, fact] : std::vector<std::pair<std::string, std::string>>{
           {"", "FILE:1:1: \"mode\" is missing"},
           {"mode = \"off\"\n", "FILE:1:8: \"mode\" takes \"audit\" or \"enforce\""},
           {"mode = 1\n", "FILE:1:8: \"mode\" takes \"audit\" or \"enforce\""},
           {head + "own = \"yes\"\n", "FILE:2:7: \"own\" takes true or false"},
           {head + "allow = 1\n", "FILE:2:9: \"allow\" is a list of tables"},
           {head + "[allow]\nowner = \"a\"\n", "FILE:2:1: \"allow\" is a list of tables"},
           {head + "[[allow]]\n", "FILE:2:1: a rule without conditions would allow everything"},
           {head + "[[allow]]\nowner = \"\"\n", "FILE:3:9: \"owner\" takes a string that is not empty"},
           {head + "[[allow]]\nowner = [\"a\"]\n", "FILE:3:9: \"owner\" takes a string that is not empty"},
           {head + "[[allow]]\nmax_age = \"soon\"\n",
            "FILE:3:11: \"max_age\" takes a number of days or hours, not \"soon\""},
           {head + "[[allow]]\nmax_age = \"99999999999d\"\n",
            "FILE:3:11: \"max_age\" takes a number of days or hours, not \"99999999999d\""},
           {head + "[[allow\n", "FILE:2:8: not valid TOML"}})
    EXPECT_THAT(mistake(text), testing::StartsWith(fact)) << text;
}

}  // namespace
}  // namespace kiln::engine
