#include "catalog/keep_rule.h"

#include <gmock/gmock.h>

#include <kiln/error.h>

namespace kiln {
namespace {

using testing::ElementsAre;

/// What stays of versions that were made then, the newest first.
std::vector<std::string> staying(const std::string& rule, const std::vector<std::string>& created) {
  const KeepRule keep = KeepRule::parse(rule);
  KeepRule::Round round(keep);
  std::vector<std::string> stays;
  for (const std::string& moment : created)
    if (const std::string why = round.reason(moment); !why.empty()) stays.push_back(moment + " " + why);
  return stays;
}

const std::vector<std::string> a_week{"2026-11-23T10:30:00Z", "2026-11-23T10:10:00Z", "2026-11-23T09:10:00Z",
                                      "2026-11-22T23:59:59Z", "2026-11-22T01:00:00Z", "2026-11-15T01:00:00Z",
                                      "2026-11-14T01:00:00Z", "2025-12-29T01:00:00Z"};

TEST(KeepRule, ANumberKeepsTheNewest) {
  EXPECT_THAT(staying("2", a_week),
              ElementsAre("2026-11-23T10:30:00Z one of the newest 2", "2026-11-23T10:10:00Z one of the newest 2"));
  EXPECT_THAT(staying("0", a_week), ElementsAre());
  EXPECT_EQ(staying("2", {"2026-11-23T10:30:00Z", "2026-11-23T10:30:00Z", "2026-11-23T10:30:00Z"}).size(), 2u)
      << "versions of one second are as many";
}

TEST(KeepRule, OfEachPeriodTheNewestStays) {
  EXPECT_THAT(staying("hourly=3", a_week),
              ElementsAre("2026-11-23T10:30:00Z the newest of its hour", "2026-11-23T09:10:00Z the newest of its hour",
                          "2026-11-22T23:59:59Z the newest of its hour"));
  EXPECT_THAT(staying("daily=3", a_week),
              ElementsAre("2026-11-23T10:30:00Z the newest of its day", "2026-11-22T23:59:59Z the newest of its day",
                          "2026-11-15T01:00:00Z the newest of its day"));
  // 2026-11-22 and 2026-11-15 are Sundays.
  EXPECT_THAT(
      staying("weekly=9", a_week),
      ElementsAre("2026-11-23T10:30:00Z the newest of its week", "2026-11-22T23:59:59Z the newest of its week",
                  "2026-11-15T01:00:00Z the newest of its week", "2025-12-29T01:00:00Z the newest of its week"));
  EXPECT_THAT(staying("monthly=1,yearly=2", a_week), ElementsAre("2026-11-23T10:30:00Z the newest of its month",
                                                                 "2025-12-29T01:00:00Z the newest of its year"));
}

TEST(KeepRule, PartsAreKeptTogether) {
  EXPECT_THAT(staying("last=2,daily=2", a_week),
              ElementsAre("2026-11-23T10:30:00Z one of the newest 2", "2026-11-23T10:10:00Z one of the newest 2",
                          "2026-11-22T23:59:59Z the newest of its day"));
  EXPECT_EQ(KeepRule::parse("last=2,daily=2").text(), "the newest 2, daily 2");
}

TEST(KeepRule, WhatIsNoRuleIsRefused) {
  for (const char* wrong : {"", "hourly", "hourly=", "hourly=x", "minutely=3", "daily=1,", "-1", "daily=9999999"})
    EXPECT_THROW((void)KeepRule::parse(wrong), Error) << wrong;
}

}  // namespace
}  // namespace kiln
