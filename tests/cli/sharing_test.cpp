// Accounts of one catalog: what each sees, what is shared, and what stays hidden.
#include <fstream>

#include "cli/accounts.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST_F(Accounts, AnImageOfAnotherDoesNotExist) {
  const Answer hidden = kiln({"image", "show", "alice/web:1", "--as", "bob"});
  const Answer absent = kiln({"image", "show", "alice/wob:1", "--as", "bob"});
  EXPECT_EQ(hidden.status, 2);
  EXPECT_EQ(absent.status, 2);
  EXPECT_EQ(hidden.err, "error: there is no image \"web\"\nhelp: see which images there are: kiln image list\n");
  EXPECT_EQ(absent.err, "error: there is no image \"wob\"\nhelp: see which images there are: kiln image list\n");
  EXPECT_THAT(images("bob"), IsEmpty());
  EXPECT_THAT(tell("bob", {"image", "list"}), StartsWith("no images; make one"));
  const std::string id = ask("alice", {"image", "show", "web"})["id"];
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"image", "show", id},
                                             {"image", "verify", "alice/web"},
                                             {"image", "export", "alice/web", "out.raw"},
                                             {"image", "tag", "alice/web", "--add", "mine"},
                                             {"image", "promote", "alice/web", "stable"},
                                             {"image", "channel", "alice/web", "stable"},
                                             {"image", "deprecate", "alice/web"},
                                             {"image", "revoke", "alice/web", "--reason", "no"},
                                             {"image", "protect", "alice/web"},
                                             {"image", "public", "alice/web"},
                                             {"image", "rm", "alice/web:1"},
                                             {"image", "rm", "alice/web:1", "--now"},
                                             {"share", "add", "alice/web", "--with", "bob"},
                                             {"share", "list", "alice/web"},
                                             {"share", "accept", "alice/web"},
                                             {"launch", "alice/web"}}) {
    const json error = ask("bob", words, 2)["error"];
    EXPECT_THAT(error["what"].get<std::string>(), StartsWith("there is no image ")) << error;
  }
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:1"));
  EXPECT_EQ(ask("alice", {"image", "show", "web"})["protected"], false);
}

TEST_F(Accounts, AShareIsOfferedAcceptedAndEnded) {
  EXPECT_THAT(tell("alice", {"share", "add", "web", "--with", "bob", "--with", "carol"}),
              HasSubstr("kiln share accept alice/web:1"));
  EXPECT_THAT(images("bob"), IsEmpty());  // nobody fills another one's list
  const json offered = ask("bob", {"share", "list"})["offered"];
  ASSERT_EQ(offered.size(), 1U);
  EXPECT_EQ(offered[0]["owner"], "alice");
  EXPECT_EQ(offered[0]["share"]["state"], "pending");
  EXPECT_EQ(offered[0]["source"]["file"], "disk.raw");
  EXPECT_EQ(refuse("bob", {"image", "export", "alice/web", "out.raw"}, 3).substr(0, 6), "error:");
  EXPECT_THAT(refuse("bob", {"launch", "alice/web:1"}, 3), HasSubstr("help: kiln share accept alice/web:1\n"));

  EXPECT_THAT(tell("bob", {"share", "accept", "alice/web"}), HasSubstr("accepted alice/web:1, made from disk.raw"));
  EXPECT_THAT(images("bob"), ElementsAre("alice/web:1"));
  EXPECT_EQ(ask("bob", {"image", "show", "web"})["source"]["file"], "disk.raw");
  EXPECT_EQ(ask("carol", {"share", "reject", "alice/web"})["version"], "1");
  EXPECT_THAT(images("carol"), IsEmpty());
  EXPECT_EQ(ask("carol", {"share", "list"})["offered"].size(), 0U);
  EXPECT_EQ(kiln({"image", "show", "alice/web", "--as", "carol"}).status, 2);

  const json members = ask("alice", {"share", "list", "web"})["members"];
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[0]["account"], "bob");
  EXPECT_EQ(members[0]["state"], "accepted");
  EXPECT_EQ(members[1]["state"], "rejected");
  EXPECT_THAT(tell("alice", {"share", "list", "web"}), HasSubstr("bob      accepted  no"));

  tell("alice", {"share", "cancel", "web", "--with", "bob"});
  EXPECT_THAT(images("bob"), IsEmpty());
  EXPECT_EQ(kiln({"image", "show", "alice/web", "--as", "bob"}).status, 2);
}

TEST_F(Accounts, AMemberMayUseButNotChange) {
  tell("alice", {"share", "add", "web", "--with", "bob"});
  tell("bob", {"share", "accept", "alice/web"});
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"image", "tag", "web", "--add", "mine"},
                                             {"image", "promote", "web", "stable"},
                                             {"image", "rm", "web"},
                                             {"image", "rm", "web", "--now"},
                                             {"image", "export", "web", "out.raw"},
                                             {"image", "deprecate", "web"},
                                             {"image", "revoke", "web", "--reason", "no"},
                                             {"share", "add", "web", "--with", "carol"},
                                             {"share", "list", "web"}})
    EXPECT_THAT(refuse("bob", words, 3), HasSubstr("image web:1 belongs to alice")) << words[1];
  EXPECT_EQ(ask("bob", {"image", "verify", "web"})["ok"], true);
  EXPECT_FALSE(std::filesystem::exists(kiln / "out.raw"));
}

TEST_F(Accounts, ASharedImageIsNotRemoved) {
  tell("alice", {"share", "add", "web", "--with", "bob"});
  for (const char* how : {"--for", "--now"}) {
    std::vector<std::string> words{"image", "rm", "web", how};
    if (how == std::string("--for")) words.emplace_back("2d");
    EXPECT_EQ(refuse("alice", words, 3),
              "error: image web:1 is shared with bob\nhelp: cancel that first: kiln share cancel web:1 --with bob\n");
  }
}

TEST_F(Accounts, OnesOwnImageComesBeforeASharedOne) {
  tell("alice", {"share", "add", "web", "--with", "bob"});
  tell("bob", {"share", "accept", "alice/web"});
  publish("bob", "web", "7", 2);
  EXPECT_EQ(ask("bob", {"image", "show", "web"})["version"], "7");
  EXPECT_EQ(ask("bob", {"image", "show", "alice/web"})["version"], "1");
}

TEST_F(Accounts, AnOfferDoesNotChangeWhatANameMeans) {
  tell("alice", {"share", "add", "web", "--with", "bob"});
  tell("bob", {"share", "accept", "alice/web"});
  publish("carol", "web", "9", 2);
  tell("carol", {"share", "add", "web", "--with", "bob"});
  EXPECT_EQ(ask("bob", {"image", "show", "web"})["owner"], "alice");
  tell("bob", {"share", "accept", "carol/web"});
  EXPECT_EQ(refuse("bob", {"image", "show", "web"}, 2),
            "error: image \"web\" may be that of alice or that of carol\nhelp: say whose: alice/web\n");
}

TEST_F(Accounts, OnlyTheOperatorMakesAnImagePublic) {
  EXPECT_THAT(refuse("alice", {"image", "public", "web"}, 3), HasSubstr("cannot be made public by you"));
  EXPECT_EQ(ask("", {"image", "public", "alice/web"})["public"], true);
  EXPECT_THAT(images("bob"), ElementsAre("alice/web:1"));
  EXPECT_THAT(refuse("bob", {"image", "rm", "web"}, 3), HasSubstr("belongs to alice"));
  EXPECT_EQ(ask("", {"image", "public", "alice/web", "--off"})["public"], false);
  EXPECT_THAT(images("bob"), IsEmpty());
}

TEST_F(Accounts, DamageIsToldWithoutNamingWhatIsHidden) {
  ask("bob", {"import", "disk.raw", "--name", "mine", "--version", "1"});  // the same content
  const auto packs = files_below(kiln.home() / "catalog/packs");
  ASSERT_EQ(packs.size(), 1U);
  const auto pack = kiln.home() / "catalog/packs" / packs[0];
  std::filesystem::permissions(pack, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  {
    std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(pack) / 2));
    file.write("damage", 6);
  }
  const json bobs = ask("bob", {"image", "verify", "mine"}, 1)["damaged"];
  ASSERT_GE(bobs.size(), 1U);
  EXPECT_EQ(bobs[0]["images"], json({"mine:1"}));
  EXPECT_EQ(ask("", {"image", "verify"}, 1)["damaged"][0]["images"].size(), 2U);
  EXPECT_EQ(
      refuse("bob", {"image", "verify"}, 3),
      "error: only the catalog's operator may verify the whole store\nhelp: name an image: kiln image verify IMAGE\n");
}

TEST_F(Accounts, TheOperatorSeesAll) {
  publish("bob", "db", "1", 2);
  EXPECT_THAT(images(""), ElementsAre("alice/web:1", "bob/db:1"));
  EXPECT_THAT(images("", {"--owner", "bob"}), ElementsAre("bob/db:1"));
  EXPECT_THAT(images("local"), IsEmpty());  // --as gives no operator's rights, not even with the operator's name
}

TEST_F(Accounts, TheConfigurationNamesTheAccount) {
  kiln.write("home/config.toml", "account = \"alice\"\n");
  publish("", "db", "1", 2);
  EXPECT_THAT(images("alice"), ElementsAre("alice/db:1", "alice/web:1"));
  kiln.write("home/config.toml", "# mine\nacount = \"alice\"\n");
  const std::string home = kiln.home();
  EXPECT_EQ(refuse("", {"image", "list"}, 2),
            "error: " + home + "/config.toml:2:1: unknown setting \"acount\"\nhelp: did you mean \"account\"?\n");
  kiln.write("home/config.toml", "account = \"a b\"\n");
  EXPECT_THAT(refuse("", {"image", "list"}, 2), HasSubstr("account name \"a b\" is not allowed"));
}

TEST_F(Accounts, OnAServerNobodyClaimsToBeSomebodyElse) {
  kiln.write("home/config.toml", "catalog = \"postgresql://me@localhost/kiln\"\n");
  EXPECT_THAT(refuse("bob", {"image", "list"}, 3), StartsWith("error: --as is for a catalog in a folder"));
  kiln.write("home/config.toml", "catalog = \"postgresql://me@localhost/kiln\"\naccount = \"bob\"\n");
  EXPECT_THAT(refuse("", {"image", "list"}, 2), HasSubstr("\"account\" is for a catalog in a folder"));
  for (const char* address : {"postgresql://localhost/kiln", "postgresql://a@localhost/kiln?user=b"}) {
    kiln.write("home/config.toml", std::string("catalog = \"") + address + "\"\n");
    EXPECT_THAT(refuse("", {"image", "list"}, 2), HasSubstr("does not say as whom to log in")) << address;
  }
  kiln.write("home/config.toml", "catalog = \"elsewhere.db\"\n");
  EXPECT_THAT(refuse("", {"image", "list"}, 2), HasSubstr("takes the address of a PostgreSQL database"));
}

}  // namespace
}  // namespace kiln::test
