#include "engine/config.h"

#include <gtest/gtest.h>

#include <fstream>

#include <kiln/error.h>

#include "support/temp.h"

namespace kiln::engine {
namespace {

class ConfigTest : public testing::Test {
 protected:
  Config read(const std::string& text) {
    std::ofstream(file) << text;
    return read_config(file);
  }
  /// What is wrong with the text: the fact without the file's name, the hint, the evidence.
  std::string mistake(const std::string& text) {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::invalid);
      std::string all = std::string(error.what()) + " | " + error.hint();
      for (const std::string& line : error.evidence()) all += " | " + line;
      for (auto at = all.find(file.string()); at != std::string::npos; at = all.find(file.string()))
        all.replace(at, file.string().size(), "FILE");
      return all;
    }
    return "no error";
  }
  test::TempDir dir;
  std::filesystem::path file = dir / "config.toml";
};

TEST_F(ConfigTest, AFileThatIsNotThereIsEmpty) {
  const Config config = read_config(file);
  EXPECT_EQ(config.account, "");
  EXPECT_EQ(config.catalog, "");
}

TEST_F(ConfigTest, ReadsWhatIsSettled) {
  const Config config = read("# mine\ncatalog = \"postgresql://me@host/kiln\"\naccount = 'me'\n");
  EXPECT_EQ(config.account, "me");
  EXPECT_EQ(config.catalog, "postgresql://me@host/kiln");
}

TEST_F(ConfigTest, NamesThePlaceAndTheNearestSetting) {
  EXPECT_EQ(mistake("\nacount = \"me\"\n"), "FILE:2:1: unknown setting \"acount\" | did you mean \"account\"?");
  EXPECT_EQ(mistake("[colours]\nred = 1\n"),
            "FILE:1:2: unknown setting \"colours\" | it may hold \"account\", \"catalog\", \"catalog_folder\", "
            "\"signing_key\", [region.NAME] and [billing]");
}

TEST_F(ConfigTest, PricesAreExact) {
  const Billing billing =
      read("[billing]\ncurrency = \"EUR\"\nper_gb_month = \"0.05\"\nper_image_month = 3\nfree_gb = \"0.000000001\"\n")
          .billing;
  EXPECT_EQ(billing.currency, "EUR");
  EXPECT_EQ(billing.per_gb_month, 50'000'000);
  EXPECT_EQ(billing.per_image_month, 3'000'000'000);
  EXPECT_EQ(billing.free_gb, 1);
  EXPECT_FALSE(read("").billing.per_gb_month);
  EXPECT_EQ(read("[billing]\nper_gb_month = \"1000000\"\n").billing.per_gb_month, 1'000'000'000'000'000);
  for (const char* none :
       {"0.05", "\"\"", "\"1.\"", "\".5\"", "\"-1\"", "-1", "\"1e3\"", "\"0.0000000001\"", "\"1000000.1\"", "true"})
    EXPECT_EQ(mistake(std::string("[billing]\nper_gb_month = ") + none + "\n"),
              "FILE:2:16: \"per_gb_month\" takes a number up to a million, as text | write it in quotes, such as "
              "\"0.05\", so "
              "that it stays exact")
        << none;
  EXPECT_EQ(mistake("[billing]\nprice = 1\n"),
            "FILE:2:1: unknown setting \"price\" | it may hold \"currency\", \"per_gb_month\", \"per_image_month\" and "
            "\"free_gb\"");
  EXPECT_EQ(mistake("billing = 1\n"), "FILE:1:11: \"billing\" is a table | write [billing] above its lines");
}

TEST_F(ConfigTest, RefusesOtherTypes) {
  const std::string hint = " takes a string that is not empty | write account = \"…\", or leave it out";
  EXPECT_EQ(mistake("account = 7\n"), "FILE:1:11: \"account\"" + hint);
  EXPECT_EQ(mistake("account = \"\"\n"), "FILE:1:11: \"account\"" + hint);
  EXPECT_EQ(mistake("account = [\"me\"]\n"), "FILE:1:11: \"account\"" + hint);
}

TEST_F(ConfigTest, TellsOfEveryMistake) {
  EXPECT_EQ(mistake("catalog = 1\nacount = \"me\"\n"),
            "FILE:1:11: \"catalog\" takes a string that is not empty | write catalog = \"…\", or leave it out"
            " | FILE:2:1: unknown setting \"acount\"");
  EXPECT_EQ(mistake("account = me\n").substr(0, 25), "FILE:1:11: not valid TOML");
}

TEST_F(ConfigTest, ReadsRegions) {
  const Config config = read(
      "[region.west]\nfolder = \"/srv/west\"\n[region.far]\nbucket = \"https://s3.example/kiln\"\nregion = \"eu\"\n"
      "access_key = \"me\"\nsecret_key_file = \"/etc/kiln.key\"\n");
  ASSERT_EQ(config.regions.size(), 2U);
  EXPECT_EQ(config.regions[0].name, "far");
  EXPECT_EQ(config.regions[0].bucket, "https://s3.example/kiln");
  EXPECT_EQ(config.regions[0].region, "eu");
  EXPECT_EQ(config.regions[0].access_key, "me");
  EXPECT_EQ(config.regions[0].secret_key_file, "/etc/kiln.key");
  EXPECT_EQ(config.regions[1].name, "west");
  EXPECT_EQ(config.regions[1].folder, "/srv/west");
}

TEST_F(ConfigTest, NamesWhatIsWrongWithARegion) {
  EXPECT_EQ(mistake("[region.west]\nfolde = \"/w\"\n"),
            "FILE:2:1: unknown setting \"folde\" | did you mean \"folder\"?");
  EXPECT_EQ(mistake("[region.west]\n"),
            "FILE:1:9: region \"west\" needs either a folder or a bucket | "
            "write folder = \"/path/of/a/catalog\", or bucket = \"https://host/bucket\"");
  EXPECT_EQ(mistake("[region.west]\nfolder = \"w\"\n"),
            "FILE:1:9: a path of region \"west\" is not absolute | begin it with \"/\": kiln is called from anywhere");
  EXPECT_EQ(mistake("region = \"west\"\n"),
            "FILE:1:10: a region is a table of its own | write [region.NAME] above its lines");
}

}  // namespace
}  // namespace kiln::engine
