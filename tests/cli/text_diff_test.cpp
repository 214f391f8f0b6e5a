#include "cli/text_diff.h"

#include <gmock/gmock.h>

#include <fstream>
#include <random>

#include "support/run.h"
#include "support/temp.h"

namespace kiln::cli {
namespace {

using testing::ElementsAre;

std::vector<std::string> diff(const std::string& a, const std::string& b, std::size_t most = 1000) {
  return unified_diff("a/f", "b/f", a, b, most);
}

TEST(TextDiff, EqualTextsHaveNone) {
  EXPECT_TRUE(diff("", "").empty());
  EXPECT_TRUE(diff("one\ntwo\n", "one\ntwo\n").empty());
}

TEST(TextDiff, ShowsWhatWasPutInPlaceOfWhat) {
  EXPECT_THAT(diff("one\ntwo\nthree\n", "one\n2\nthree\n"),
              ElementsAre("--- a/f", "+++ b/f", "@@ -1,3 +1,3 @@", " one", "-two", "+2", " three"));
  EXPECT_THAT(diff("", "new\n"), ElementsAre("--- a/f", "+++ b/f", "@@ -0,0 +1,1 @@", "+new"));
  EXPECT_THAT(diff("old\n", ""), ElementsAre("--- a/f", "+++ b/f", "@@ -1,1 +0,0 @@", "-old"));
}

TEST(TextDiff, AMissingLastLineEndIsToldAsSuch) {
  EXPECT_EQ(diff("one\n", "one").back(), "(they differ in the line end at the end of the file only)");
}

TEST(TextDiff, WhatTheGuestWroteCannotReachTheTerminal) {
  EXPECT_THAT(diff("", "\x1b[2J\x07\n"), testing::Contains("+\\x1b[2J\\x07"));
  EXPECT_EQ(unified_diff("a/\x1b", "b", "", "x", 9)[0], "--- a/\\x1b");
}

TEST(TextDiff, IsBounded) {
  std::string a, b;
  for (int i = 0; i < 5000; ++i) a += "a" + std::to_string(i) + "\n", b += "b" + std::to_string(i) + "\n";
  const auto some = diff(a, b, 20);
  EXPECT_EQ(some.size(), 22U);
  EXPECT_EQ(some.back(), "… more lines differ");
  EXPECT_EQ(diff(a, b, 100'000).size(), 10'003U);
}

/// patch(1) is not needed everywhere, so the oracle is diff(1): the lines that it calls common are not more than ours.
TEST(TextDiff, FindsAsMuchInCommonAsDiff) {
  std::mt19937 random(7);
  const test::TempDir folder;
  for (int round = 0; round < 30; ++round) {
    std::string a, b;
    for (int i = 0; i < 60; ++i) {
      const std::string line = std::to_string(random() % 9) + "\n";
      if (random() % 5 != 0) a += line;
      if (random() % 5 != 0) b += line;
    }
    std::ofstream(folder / "a") << a;
    std::ofstream(folder / "b") << b;
    const test::Outcome theirs = test::run({"diff", "--minimal", folder / "a", folder / "b"});
    const auto count = [](const std::vector<std::string>& lines, char sign) {
      return std::count_if(lines.begin(), lines.end(), [&](const std::string& l) { return l.front() == sign; });
    };
    const auto ours = diff(a, b, 100'000);
    const auto removed = std::count(theirs.output.begin(), theirs.output.end(), '<');
    const auto added = std::count(theirs.output.begin(), theirs.output.end(), '>');
    if (a == b) continue;
    EXPECT_EQ(count(ours, '-') - 1, removed);
    EXPECT_EQ(count(ours, '+') - 1, added);
  }
}

}  // namespace
}  // namespace kiln::cli
