// kiln usage: who sees what, and exact numbers of a month that is over.
#include <fstream>
#include <regex>

#include <kiln/file.h>

#include "cli/accounts.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Usage : public Accounts {
 protected:
  /// As if all images were there since 2020 began: nobody has settled their changes yet.
  void backdate() { backdate(kiln.home() / "catalog"); }
  static void backdate(const std::filesystem::path& catalog) {
    const std::filesystem::path records = catalog / "records.sqlite";
    const std::string bytes = read_text(records);
    static const std::regex change("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z(?=local(alice|bob)[0-9a-f]{64})");
    std::ofstream(records, std::ios::binary) << std::regex_replace(bytes, change, "2020-01-01T00:00:00Z");
  }
  json rows(const std::string& account, std::vector<std::string> words) {
    words.insert(words.begin(), "usage");
    return ask(account, words)["usage"];
  }
  std::uint64_t stored() { return ask("", {"image", "verify"})["bytes"]; }
};

TEST_F(Usage, EachSeesItsOwnAndTheOperatorAll) {
  publish("bob", "db", "1", 2);
  backdate();
  const std::vector<std::string> january{"--month", "2020-01"};
  ASSERT_EQ(rows("alice", january).size(), 1U);
  EXPECT_EQ(rows("alice", january)[0]["owner"], "alice");
  EXPECT_EQ(rows("bob", {"--month", "2020-01", "--owner", "bob"})[0]["owner"], "bob");
  EXPECT_EQ(rows("carol", january), json::array());
  ASSERT_EQ(rows("", january).size(), 2U);
  EXPECT_EQ(rows("", {"--month", "2020-01", "--owner", "bob"})[0]["owner"], "bob");
  const std::string refused = refuse("bob", {"usage", "--owner", "alice"}, 3);
  EXPECT_EQ(
      refused,
      "error: only the catalog's operator may see what others keep\nhelp: leave --owner out, for your own usage\n");
  EXPECT_EQ(refuse("bob", {"usage", "--owner", "nobody"}, 3), refused);
  EXPECT_EQ(ask("bob", {"usage", "--csv"}, 2)["error"]["what"], "kiln usage: --json and --csv do not go together");
}

TEST_F(Usage, AMonthIsCountedToTheByteHour) {
  const std::uint64_t bytes = stored();
  backdate();
  const json answer = ask("alice", {"usage", "--month", "2020-01"});
  EXPECT_EQ(answer["month"], "2020-01");
  EXPECT_EQ(answer["from"], "2020-01-01T00:00:00Z");
  EXPECT_EQ(answer["to"], "2020-02-01T00:00:00Z");
  EXPECT_EQ(answer["free_gb"], "50.000000");
  ASSERT_EQ(answer["usage"].size(), 1U);
  json row = answer["usage"][0];
  EXPECT_EQ(row["region"], "local");
  EXPECT_EQ(row["unique_byte_hours"], bytes * 744);
  EXPECT_EQ(row["common_byte_hours"], 0);
  EXPECT_EQ(row["stored_byte_hours"], bytes * 744);
  EXPECT_EQ(row["logical_byte_hours"], (4U << 20) * 744ULL);
  EXPECT_EQ(row["image_hours"], 744);
  EXPECT_EQ(row["billed_gb_months"], "0.000000");
  EXPECT_FALSE(row.contains("total_cost"));  // there are no prices
  EXPECT_EQ(rows("alice", {"--month", "2019-12"}), json::array());

  const json hours = rows("alice", {"--month", "2020-01", "--hourly"});
  ASSERT_EQ(hours.size(), 744U);
  EXPECT_EQ(hours[743]["hour"], "2020-01-31T23:00:00Z");
  EXPECT_EQ(hours[743]["unique_byte_hours"], bytes);
  EXPECT_EQ(tell("alice", {"usage", "--month", "2019-12"}), "nothing was kept in 2019-12\n");
  EXPECT_THAT(refuse("alice", {"usage", "--month", "january"}, 2), HasSubstr("write it as in 2026-11"));
}

TEST_F(Usage, ABillIsExactAndCsvHoldsTheSame) {
  const std::uint64_t bytes = stored();
  backdate();
  kiln.write("home/config.toml",
             "[billing]\ncurrency = \"EUR\"\nper_gb_month = \"1000\"\nper_image_month = \"0.5\"\nfree_gb = \"0\"\n");
  const json answer = ask("alice", {"usage", "--month", "2020-01"});
  EXPECT_EQ(answer["currency"], "EUR");
  const json row = answer["usage"][0];
  // 1000 for 10^9 bytes: in ten-thousandths, a byte is a hundredth of one.
  const std::uint64_t cost = (bytes + 50) / 100;
  const auto money = [](std::uint64_t tenthousandths) {
    const std::string part = std::to_string(10000 + tenthousandths % 10000);
    return std::to_string(tenthousandths / 10000) + "." + part.substr(1);
  };
  EXPECT_EQ(row["storage_cost"], money(cost));
  EXPECT_EQ(row["image_cost"], "0.5000");
  EXPECT_EQ(row["total_cost"], money(cost + 5000));

  const std::string hours = std::to_string(bytes * 744), gb = row["gb_months"];
  EXPECT_EQ(
      tell("alice", {"usage", "--month", "2020-01", "--csv"}),
      "owner,region,unique_byte_hours,common_byte_hours,stored_byte_hours,logical_byte_hours,image_hours,gb_months,"
      "billed_gb_months,storage_cost,image_cost,total_cost\r\nalice,local," +
          hours + ",0," + hours + ",3120562176,744," + gb + "," + gb + "," + money(cost) + ",0.5000," +
          money(cost + 5000) + "\r\n");
  EXPECT_THAT(tell("alice", {"usage", "--month", "2019-12", "--csv"}), testing::EndsWith(",total_cost\r\n"));
  const std::string text = tell("alice", {"usage", "--month", "2020-01"});
  EXPECT_THAT(text, HasSubstr("TOTAL-COST EUR"));
  EXPECT_THAT(text, HasSubstr("alice  local"));
}

TEST_F(Usage, EveryFolderThatIsARegionIsCounted) {
  kiln.write("home/config.toml", "[region.eu]\nfolder = \"" + (kiln / "eu").string() + "\"\n");
  ask("", {"image", "copy", "alice/web:1", "--to", "eu"});
  backdate();
  backdate(kiln / "eu");
  const json all = rows("alice", {"--month", "2020-01"});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0]["region"], "eu");
  EXPECT_EQ(all[1]["region"], "local");
  for (const json& row : all) EXPECT_EQ(row["unique_byte_hours"], stored() * 744);
  EXPECT_EQ(rows("bob", {"--month", "2020-01"}), json::array());
}

TEST_F(Usage, WhatWasRemovedIsStillOnTheBill) {
  backdate();
  ask("alice", {"image", "rm", "web:1", "--now"});
  EXPECT_EQ(rows("alice", {"--month", "2020-01"})[0]["image_hours"], 744);
  EXPECT_GT(rows("alice", {"--month", "2020-01"})[0]["unique_byte_hours"], 0);
}

}  // namespace
}  // namespace kiln::test
