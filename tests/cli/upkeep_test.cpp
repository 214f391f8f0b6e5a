// kiln gc and kiln quota from the command line.
#include <filesystem>
#include <fstream>

#include "cli/accounts.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

class Upkeep : public Accounts {};

TEST_F(Upkeep, TheOperatorCollects) {
  EXPECT_EQ(tell("", {"gc"}), "nothing to collect\n");
  std::ofstream(kiln / "home/catalog/packs/stray.pack") << "left by something";
  const json would = ask("", {"gc", "--dry-run"});
  EXPECT_EQ(would["items"][0]["name"], "packs/stray.pack");
  EXPECT_THAT(would["items"][0]["why"].get<std::string>(), StartsWith("no record names it: in quarantine"));
  EXPECT_EQ(would["dry_run"], true);
  EXPECT_TRUE(std::filesystem::exists(kiln / "home/catalog/packs/stray.pack"));
  EXPECT_THAT(tell("", {"gc"}), HasSubstr("file  packs/stray.pack  waits"));
  EXPECT_FALSE(std::filesystem::exists(kiln / "home/catalog/packs/stray.pack"));
  EXPECT_THAT(refuse("alice", {"gc"}, 3), StartsWith("error: only the catalog's operator may collect\n"));
}

TEST_F(Upkeep, AQuotaIsHeld) {
  EXPECT_EQ(tell("", {"quota", "list"}), "no quota is set\n");
  EXPECT_THAT(tell("", {"quota", "set", "alice", "--images", "1", "--bytes", "1M"}),
              HasSubstr("alice has 1 of 1 images, "));
  EXPECT_THAT(refuse("alice", {"import", "disk.raw", "--name", "second"}, 3),
              HasSubstr("account alice may have 1 images, and has 1"));
  const json quota = ask("alice", {"quota", "list"})["quotas"][0];
  EXPECT_EQ(quota["account"], "alice");
  EXPECT_EQ(quota["images"], 1);
  EXPECT_EQ(quota["max_images"], 1);
  EXPECT_EQ(quota["max_bytes"], 1 << 20);
  EXPECT_GT(quota["bytes"], 0);
  EXPECT_THAT(refuse("alice", {"quota", "set", "alice"}, 3), StartsWith("error: only the catalog's operator sets"));
  EXPECT_EQ(tell("", {"quota", "set", "alice"}), "alice may store as much as it likes\n");
}

}  // namespace
}  // namespace kiln::test
