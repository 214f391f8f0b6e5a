// Cases that were computed by hand.
#include "catalog/usage.h"

#include <gmock/gmock.h>

#include "fixture.h"

namespace kiln {
namespace {

constexpr std::uint64_t gb = 1'000'000'000;

UsageSample at(const Moment& moment, std::uint64_t unique, std::uint64_t common = 0, std::uint64_t images = 1,
               const std::string& owner = "alice") {
  return {moment, "local", owner, unique, common, unique + common, images};
}

Usage only(const std::vector<Usage>& all) {
  EXPECT_EQ(all.size(), 1U);
  return all.empty() ? Usage{} : all.front();
}

std::string number(Wide value) {
  return Fraction{value, 1}.text(0);
}

TEST(UsagePeriodTest, MonthsAreThoseOfUtc) {
  EXPECT_EQ(month_period("2026-02").from, "2026-02-01T00:00:00Z");
  EXPECT_EQ(month_period("2026-02").to, "2026-03-01T00:00:00Z");
  EXPECT_EQ(month_period("2026-12").to, "2027-01-01T00:00:00Z");
  EXPECT_EQ(month_period("2026-02").seconds(), 28 * 86400);
  EXPECT_EQ(month_period("2028-02").seconds(), 29 * 86400);
  for (const char* none :
       {"", "2026", "2026-13", "2026-00", "2026-1", "26-01", "2026-01-01", "2026/01", "-026-01", "1969-12"})
    EXPECT_EQ(test::error_of([&] { (void)month_period(none); }).hint(), "write it as in 2026-11") << none;
}

TEST(UsagePeriodTest, EveryDayHasTwentyFourHours) {
  EXPECT_EQ(hours_of(month_period("2026-03")).size(), 744U);  // where clocks change, one of them has 743
  EXPECT_EQ(hours_of({"2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"}).size(), 24U);
  const auto cut = hours_of({"2026-03-29T22:30:00Z", "2026-03-30T00:10:00Z"});
  ASSERT_EQ(cut.size(), 3U);
  EXPECT_EQ(cut[0].to, "2026-03-29T23:00:00Z");
  EXPECT_EQ(cut[1].seconds(), 3600);
  EXPECT_EQ(cut[2].from, "2026-03-30T00:00:00Z");
  EXPECT_EQ(cut[2].seconds(), 600);
}

TEST(UsageTest, ARemovalInTheMiddleOfAnHourEndsItThere) {
  const std::vector<UsageSample> samples{at("2026-11-02T10:30:00Z", 1000), at("2026-11-02T12:15:00Z", 0, 0, 0)};
  const auto hour = [&](const char* from, const char* to) {
    const auto all = usage_in(samples, {from, to});
    return all.empty() ? std::string("none") : number(all[0].unique);
  };
  EXPECT_EQ(hour("2026-11-02T09:00:00Z", "2026-11-02T10:00:00Z"), "none");
  EXPECT_EQ(hour("2026-11-02T10:00:00Z", "2026-11-02T11:00:00Z"), "1800000");  // half an hour
  EXPECT_EQ(hour("2026-11-02T11:00:00Z", "2026-11-02T12:00:00Z"), "3600000");
  EXPECT_EQ(hour("2026-11-02T12:00:00Z", "2026-11-02T13:00:00Z"), "900000");  // a quarter
  EXPECT_EQ(hour("2026-11-02T13:00:00Z", "2026-11-02T14:00:00Z"), "none");
  const Usage all = only(usage_in(samples, month_period("2026-11")));
  EXPECT_EQ(number(all.unique), "6300000");
  EXPECT_EQ(number(all.images), "6300");
}

TEST(UsageTest, WhatIsThereIsCarriedOverHoursInWhichNothingRan) {
  const std::vector<UsageSample> samples{at("2026-10-31T23:59:59Z", 7, 3)};
  const Usage november = only(usage_in(samples, month_period("2026-11")));
  EXPECT_EQ(number(november.unique), std::to_string(7LL * 30 * 86400));
  EXPECT_EQ(number(november.common), std::to_string(3LL * 30 * 86400));
  EXPECT_EQ(number(november.logical), std::to_string(10LL * 30 * 86400));
  EXPECT_EQ(number(only(usage_in(samples, month_period("2026-10"))).stored()), "10");  // one second of October
  EXPECT_TRUE(usage_in(samples, month_period("2026-09")).empty());
}

TEST(UsageTest, HoursAddUpToTheMonth) {
  const std::vector<UsageSample> samples{at("2026-10-05T00:00:00Z", 11), at("2026-11-02T10:30:01Z", 1'000'003),
                                         at("2026-11-17T23:59:59Z", 17, 5), at("2026-11-30T23:59:58Z", 0, 1)};
  Wide sum = 0;
  for (const Period& hour : hours_of(month_period("2026-11"))) sum += only(usage_in(samples, hour)).stored();
  EXPECT_EQ(number(sum), number(only(usage_in(samples, month_period("2026-11"))).stored()));
}

TEST(UsageTest, OwnersAndRegionsAreApart) {
  std::vector<UsageSample> samples{at("2026-11-01T00:00:00Z", 1), at("2026-11-01T00:00:00Z", 2, 0, 1, "bob")};
  samples.push_back(samples[0]);
  samples[2].region = "eu";
  const auto all = usage_in(samples, {"2026-11-01T00:00:00Z", "2026-11-01T00:00:01Z"});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].region + all[0].owner, "eualice");
  EXPECT_EQ(all[1].region + all[1].owner, "localalice");
  EXPECT_EQ(number(all[2].unique), "2");
}

TEST(FractionTest, RoundsHalfUpAndOnlyWhenWritten) {
  EXPECT_EQ((Fraction{1, 3}.text(4)), "0.3333");
  EXPECT_EQ((Fraction{2, 3}.text(4)), "0.6667");
  EXPECT_EQ((Fraction{1, 2}.text(0)), "1");
  EXPECT_EQ((Fraction{1, 20000}.text(4)), "0.0001");
  EXPECT_EQ((Fraction{1, 20001}.text(4)), "0.0000");
  EXPECT_EQ((Fraction{99999, 100000}.text(4)), "1.0000");
  EXPECT_EQ((Fraction{12345, 100}.text(2)), "123.45");
  EXPECT_EQ((Fraction{0, 7}.text(2)), "0.00");
}

TEST(BillTest, TheFreeTierIsThatOfTheWholeMonth) {
  const Period month = month_period("2026-11");                                     // 720 hours
  const Tariff tariff{.per_gb_month = 50'000'000, .per_image_month = 100'000'000};  // 0.05 and 0.10
  // 100 GB and two images all month: 50 GB are free.
  const Bill whole = bill_of(only(usage_in({at("2026-01-01T00:00:00Z", 60 * gb, 40 * gb, 2)}, month)), tariff, month);
  EXPECT_EQ(whole.gb_months.text(6), "100.000000");
  EXPECT_EQ(whole.billed_gb_months.text(6), "50.000000");
  EXPECT_EQ(whole.storage.text(4), "2.5000");
  EXPECT_EQ(whole.images.text(4), "0.2000");
  EXPECT_EQ(whole.total().text(4), "2.7000");
  // The same for ten days: a third of 100 GB-months is below 50.
  const Bill third = bill_of(only(usage_in({at("2026-11-21T00:00:00Z", 60 * gb, 40 * gb, 2)}, month)), tariff, month);
  EXPECT_EQ(third.gb_months.text(6), "33.333333");
  EXPECT_EQ(third.billed_gb_months.text(6), "0.000000");
  EXPECT_EQ(third.total().text(4), "0.0667");
}

TEST(BillTest, AMonthThatIsLongerCostsTheSame) {
  const Tariff tariff{.free_bytes = 0, .per_gb_month = 30'000'000};
  for (const char* name : {"2026-02", "2026-03", "2026-04"}) {
    const Period month = month_period(name);
    const Bill bill = bill_of(only(usage_in({at("2026-01-01T00:00:00Z", 7 * gb)}, month)), tariff, month);
    EXPECT_EQ(bill.storage.text(4), "0.2100") << name;
  }
}

TEST(BillTest, OneByteAboveTheFreeTierIsNotLost) {
  const Period month = month_period("2026-11");
  const Tariff tariff{.free_bytes = 50 * gb, .per_gb_month = 1'000'000'000};
  const Bill bill = bill_of(only(usage_in({at("2026-01-01T00:00:00Z", 50 * gb + 1)}, month)), tariff, month);
  EXPECT_EQ(bill.billed_gb_months.text(9), "0.000000001");
  EXPECT_EQ(bill.storage.text(9), "0.000000001");
}

TEST(BillTest, PetabytesAndHighPricesFit) {
  const Period month = month_period("2026-03");
  const Tariff tariff{.free_bytes = 0, .per_gb_month = 1'000'000'000'000'000, .per_image_month = 1'000'000'000'000'000};
  const Bill bill =
      bill_of(only(usage_in({at("2026-01-01T00:00:00Z", 1000 * 1000 * gb, 0, 100'000)}, month)), tariff, month);
  EXPECT_EQ(bill.storage.text(4), "1000000000000.0000");
  EXPECT_EQ(bill.total().text(4), "1100000000000.0000");
}

}  // namespace
}  // namespace kiln
