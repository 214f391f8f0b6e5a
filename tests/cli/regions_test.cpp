// Regions from the command line: another catalog's folder.
#include <filesystem>
#include <fstream>

#include "cli/accounts.h"
#include "support/disks.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Regions : public Accounts {
 protected:
  Regions() { kiln.write("home/config.toml", "[region.west]\nfolder = \"" + (kiln / "west").string() + "\"\n"); }
};

TEST_F(Regions, AreListed) {
  const json regions = ask("alice", {"region", "list"})["regions"];
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0]["name"], "local");
  EXPECT_EQ(regions[1]["name"], "west");
  EXPECT_EQ(regions[1]["kind"], "folder");
  EXPECT_THAT(tell("alice", {"region", "list"}), HasSubstr("west   folder  " + (kiln / "west").string()));
}

TEST_F(Regions, AnImageIsCopiedListedAndCopiedBack) {
  const json copied = ask("alice", {"image", "copy", "web", "--to", "west"})["copies"][0];
  EXPECT_EQ(copied["region"], "west");
  EXPECT_EQ(copied["image"], "alice/web:1");
  EXPECT_GT(copied["chunks_moved"], 0);
  EXPECT_EQ(copied["chunks_there"], 0);
  EXPECT_GT(copied["bytes_moved"], 0);
  EXPECT_EQ(copied["chunks_resumed"], 0);
  EXPECT_EQ(copied["bytes_resumed"], 0);
  EXPECT_THAT(images("alice", {"--region", "west"}), ElementsAre("alice/web:1"));
  EXPECT_EQ(ask("alice", {"image", "list", "--region", "west"})["images"][0]["region"], "west");

  ask("alice", {"image", "rm", "web", "--now"});
  EXPECT_THAT(tell("alice", {"image", "copy", "web", "--from", "west", "--to", "local"}),
              HasSubstr("alice/web:1 in local: "));
  EXPECT_EQ(ask("alice", {"image", "verify", "web"})["ok"], true);
  EXPECT_EQ(tell("alice", {"image", "copy", "web", "--to", "west"}),
            "alice/web:1 in west: was there already, nothing moved\n");
}

TEST_F(Regions, AChannelIsMirrored) {
  tell("alice", {"image", "promote", "web", "stable"});
  EXPECT_THAT(tell("alice", {"image", "sync", "web:stable", "--to", "west"}), HasSubstr("; web:stable is 1\n"));
  EXPECT_EQ(ask("alice", {"image", "list", "--region", "west", "--channel", "stable"})["images"].size(), 1U);
  const json again = ask("alice", {"image", "sync", "web:stable", "--to", "west"})["copies"][0];
  EXPECT_EQ(again["was_there"], true);
  EXPECT_EQ(again["channel_moved"], false);
  EXPECT_EQ(again["bytes_moved"], 0);
  EXPECT_EQ(
      refuse("alice", {"image", "sync", "web:1", "--to", "west"}, 2),
      "error: \"web:1\" names no channel\nhelp: give NAME:CHANNEL, such as web:stable; see kiln image list web\n");
}

TEST_F(Regions, ACopyIsRemovedAndRestoredThereAsAtHome) {
  ask("alice", {"image", "copy", "web", "--to", "west"});
  EXPECT_THAT(refuse("bob", {"image", "rm", "alice/web:1", "--region", "west"}, 2),
              StartsWith("error: there is no image \"web\"\n"));
  EXPECT_THAT(tell("alice", {"image", "rm", "web:1", "--region", "west", "--for", "3d"}),
              HasSubstr("kiln image restore web:1 --region west brings it back\n"));
  EXPECT_THAT(images("alice", {"--region", "west"}), ElementsAre());
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:1"));
  EXPECT_EQ(tell("alice", {"image", "restore", "web:1", "--region", "west"}), "web:1 is available again\n");
  EXPECT_THAT(images("alice", {"--region", "west"}), ElementsAre("alice/web:1"));
  const json removal = ask("alice", {"image", "rm", "web:1", "--region", "west", "--now"});
  EXPECT_EQ(removal["removed"], "web:1");
  EXPECT_GT(removal["freed_bytes"], 0);
  EXPECT_THAT(images("alice", {"--region", "west"}), ElementsAre());
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:1"));
  ask("alice", {"image", "rm", "web:1", "--region", "local", "--now"});
  EXPECT_THAT(images("alice"), ElementsAre());
}

TEST_F(Regions, AFolderIsCollectedAsTheHome) {
  ask("alice", {"image", "copy", "web", "--to", "west"});
  std::ofstream(kiln / "west/packs/stray.pack") << "left by something";
  EXPECT_THAT(refuse("alice", {"gc", "--region", "west"}, 3),
              StartsWith("error: only the catalog's operator may collect\n"));
  EXPECT_EQ(ask("", {"gc", "--region", "west"})["items"][0]["name"], "packs/stray.pack");
  EXPECT_FALSE(std::filesystem::exists(kiln / "west/packs/stray.pack"));
}

TEST_F(Regions, DamageIsMended) {
  tell("alice", {"image", "copy", "web", "--to", "west"});
  EXPECT_EQ(tell("", {"image", "repair", "--from", "west"}), "the whole store: nothing is damaged\n");
  const auto pack = kiln.home() / "catalog/packs" / files_below(kiln.home() / "catalog/packs").at(0);
  flip_byte(pack, std::filesystem::file_size(pack) / 2);
  ask("", {"image", "verify"}, 1);
  EXPECT_EQ(tell("alice", {"image", "repair", "web", "--from", "west"}),
            "web: mended; 1 chunks and 0 manifests fetched from west, 1 packs written anew\n");
  EXPECT_EQ(ask("", {"image", "verify"})["ok"], true);

  const auto fresh = kiln.home() / "catalog/packs" / files_below(kiln.home() / "catalog/packs").at(0);
  flip_byte(fresh, std::filesystem::file_size(fresh) / 2);
  const json left = ask("", {"image", "repair", "--from", "local"}, 1);  // from itself: it has no other
  EXPECT_EQ(left["ok"], false);
  EXPECT_EQ(left["left"].size(), 1U);
  EXPECT_THAT(refuse("", {"image", "repair", "--from", "local"}, 1),
              StartsWith("error: not all of the whole store could be mended from region \"local\"\n"));
  EXPECT_THAT(refuse("", {"image", "repair"}, 2), StartsWith("error: kiln image repair: --from is missing\n"));
}

TEST_F(Regions, MistakesAreNamed) {
  EXPECT_EQ(refuse("alice", {"image", "copy", "web", "--to", "wset"}, 2),
            "error: there is no region \"wset\"\nhelp: did you mean \"west\"?\n");
  EXPECT_EQ(refuse("alice", {"image", "copy", "web"}, 2),
            "error: kiln image: --to is missing\nhelp: see where to: kiln region list\n");
  EXPECT_EQ(refuse("alice", {"image", "copy", "web", "--to", "local"}, 2),
            "error: image web:1 is in region \"local\" already\nhelp: name another region: kiln region list\n");
  EXPECT_EQ(refuse("bob", {"image", "copy", "alice/web", "--to", "west"}, 2),
            "error: there is no image \"web\"\nhelp: see which images there are: kiln image list\n");
  ask("alice", {"image", "revoke", "web", "--reason", "a key in it"});
  EXPECT_THAT(refuse("alice", {"image", "copy", "web:1", "--to", "west"}, 3),
              StartsWith("error: image web:1 is revoked and cannot be copied\n"));
  EXPECT_FALSE(std::filesystem::exists(kiln / "west/packs") && !files_below(kiln / "west/packs").empty());
}

TEST_F(Regions, WhatAFailureFollowsIsSaid) {
  kiln.write("west2", "no folder");
  kiln.write("home/config.toml", "[region.west]\nfolder = \"" + (kiln / "west").string() +
                                     "\"\n[region.east]\nfolder = \"" + (kiln / "west2").string() + "\"\n");
  const std::string said = refuse("alice", {"image", "copy", "web", "--to", "west", "--to", "east"}, 1);
  EXPECT_THAT(said, HasSubstr("done: alice/web:1 in west: "));
}

TEST_F(Regions, ASecretThatOthersCanReadIsRefused) {
  const std::string key = kiln.write("key", "secret\n");
  std::filesystem::permissions(key, std::filesystem::perms{0644});
  kiln.write("home/config.toml",
             "[region.far]\nbucket = \"https://localhost/b\"\naccess_key = \"a\"\nsecret_key_file = \"" + key + "\"\n");
  EXPECT_EQ(refuse("alice", {"image", "list", "--region", "far"}, 3),
            "error: the secret key " + key + " can be read by others\nhelp: chmod 600 " + key + "\n");
}

}  // namespace
}  // namespace kiln::test
