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

TEST_F(Accounts, APipelineDoesNotHandOnWhatAMemberMayOnlyUse) {
  tell("alice", {"share", "add", "web", "--with", "bob"});
  tell("bob", {"share", "accept", "alice/web"});
  const std::string from = "[[stage]]\nuse = \"image\"\nimage = \"alice/web:1\"\n\n";
  kiln.write("write.toml", from + "[[stage]]\nuse = \"write\"\nfile = \"out.raw\"\n");
  kiln.write("publish.toml", from + "[[stage]]\nuse = \"publish\"\nimage = \"mine\"\n");
  kiln.write("sum.toml", from + "[[stage]]\nuse = \"checksum\"\n");
  const Answer written = kiln({"build", "write.toml", "--as", "bob"});
  EXPECT_EQ(written.status, 3);
  EXPECT_THAT(written.err,
              HasSubstr("stage 2 \"write\": image web:1 belongs to alice and cannot be exported by you\n"));
  EXPECT_FALSE(std::filesystem::exists(kiln / "out.raw"));
  const Answer published = kiln({"build", "publish.toml", "--as", "bob"});
  EXPECT_EQ(published.status, 3);
  EXPECT_THAT(published.err,
              HasSubstr("stage 2 \"publish\": image web:1 belongs to alice and cannot be copied by you\n"));
  EXPECT_THAT(images("bob"), ElementsAre("alice/web:1"));
  EXPECT_EQ(kiln({"build", "sum.toml", "--as", "bob"}).status, 0);  // that hands nothing on

  EXPECT_EQ(kiln({"build", "write.toml", "--as", "alice"}).status, 0);
  std::filesystem::remove(kiln / "out.raw");
  tell("alice", {"share", "add", "web", "--with", "bob", "--copy"});
  EXPECT_EQ(kiln({"build", "publish.toml", "--as", "bob"}).status, 0);
  EXPECT_EQ(kiln({"build", "write.toml", "--as", "bob"}).status, 3) << "a copy of his own he could write";
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

/// Puts an instance's record of that account into the home, as a launch leaves it; without one when `account` is empty.
void put_instance(const Program& kiln, const std::string& name, const std::string& account, const std::string& image) {
  std::filesystem::create_directories(kiln.home() / "instances" / name);
  json record = json::parse(R"({"image":"web:1","created":"2026-01-01T00:00:00Z","accelerator":"tcg","firmware":"bios",
                               "memory":268435456,"cpus":1,"ports":[],"pid":1,"started":1,"boot_id":"x"})");
  record["name"] = name;
  record["image_id"] = image;
  if (!account.empty()) record["account"] = account;
  kiln.write("home/instances/" + name + "/instance.json", record.dump());
}

TEST_F(Accounts, AnInstanceOfAnotherDoesNotExist) {
  put_instance(kiln, "ali", "alice", "some-image");
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"console", "ali"}, {"stop", "ali"}, {"rm", "ali", "--force"}})
    EXPECT_EQ(refuse("zed", words, 2), "error: there is no instance \"ali\"\nhelp: kiln ps lists what there is\n");
  EXPECT_EQ(ask("zed", {"ps"})["instances"], json::array());
  EXPECT_EQ(tell("zed", {"ps"}), "no instances; start one with: kiln launch IMAGE\n");
  EXPECT_EQ(ask("alice", {"ps"})["instances"][0]["account"], "alice");
  put_instance(kiln, "old", "", "some-image");  // made before instances had owners: the home's
  EXPECT_EQ(ask("alice", {"ps"})["instances"].size(), 1U);
  EXPECT_EQ(ask("", {"ps"})["instances"].size(), 2U);
  EXPECT_THAT(tell("", {"ps"}), HasSubstr("ACCOUNT"));
  EXPECT_EQ(ask("alice", {"stop", "ali"})["stopped"], "already");
  tell("alice", {"rm", "ali"});
  tell("", {"rm", "old"});
}

TEST_F(Accounts, WhoUsesAnImageIsToldAsFarAsItMayBeKnown) {
  publish("alice", "app", "1", 2);
  const std::string id = ask("alice", {"image", "show", "app"})["id"];
  put_instance(kiln, "old", "", id);
  const std::string until =
      "\nhelp: it can go when they have removed what uses it; until then, kiln image deprecate keeps newcomers away\n";
  EXPECT_EQ(refuse("alice", {"image", "rm", "app"}, 3),
            "error: image app:1 is in use by an instance of another account" + until);
  tell("", {"rm", "old"});
  put_instance(kiln, "bobs", "bob", id);
  EXPECT_EQ(refuse("alice", {"image", "rm", "app"}, 3), "error: image app:1 is in use by an instance of bob" + until);
  EXPECT_THAT(refuse("", {"image", "rm", "alice/app"}, 3), HasSubstr("is in use by bobs\n"));
  put_instance(kiln, "zz", "alice", id);
  EXPECT_EQ(refuse("alice", {"image", "rm", "app", "--now"}, 3),
            "error: image app:1 is in use by zz, an instance of bob\nhelp: remove what uses it first: kiln rm zz\n");
}

TEST_F(Accounts, OfferingAgainSaysWhatChanges) {
  EXPECT_EQ(tell("alice", {"share", "add", "web", "--with", "bob", "--copy"}),
            "web:1 is offered to bob, who may accept with: kiln share accept alice/web:1\n");
  tell("bob", {"share", "accept", "alice/web"});
  EXPECT_EQ(
      tell("alice", {"share", "add", "web", "--with", "bob", "--with", "carol"}),
      "web:1 is offered to carol, who may accept with: kiln share accept alice/web:1; bob has accepted it already, "
      "and may not copy it any longer\n");
  EXPECT_EQ(tell("alice", {"share", "add", "web", "--with", "bob", "--copy"}),
            "web:1: bob has accepted it already, and may copy it from now on\n");
  EXPECT_EQ(tell("alice", {"share", "add", "web", "--with", "bob", "--copy"}),
            "web:1: bob has accepted it already, and nothing changes\n");
  EXPECT_EQ(ask("alice", {"share", "list", "web"})["image"], "alice/web:1");
}

TEST_F(Accounts, AMemberOfACatalogsOwnAccountAnswers) {
  kiln.write("home/config.toml", "account = \"bob\"\n");
  tell("alice", {"share", "add", "web", "--with", "bob"});
  EXPECT_EQ(ask("", {"share", "list"})["offered"][0]["share"]["state"], "pending");
  tell("", {"share", "accept", "alice/web:1"});
  EXPECT_EQ(ask("alice", {"share", "list", "web"})["members"][0]["state"], "accepted");
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

TEST_F(Accounts, WhatAnotherHasPublishedIsPublishedAgain) {
  const auto import_as = [&](const std::string& account) {
    return tell(account, {"import", "disk.raw", "--name", "web", "--version", "1"});
  };
  import_as("alice");  // it is there, and is hers
  import_as("bob");
  EXPECT_THAT(images("bob"), ElementsAre("bob/web:1"));
  import_as("");
  EXPECT_THAT(images("", {"--owner", "local"}), ElementsAre("local/web:1"));
  // Also when this account would find the other one's by the name alone, and has none of its own.
  ask("", {"image", "public", "alice/web"});
  import_as("carol");
  EXPECT_THAT(images("carol", {"--owner", "carol"}), ElementsAre("carol/web:1"));
  import_as("alice");
  EXPECT_THAT(images("alice", {"--owner", "alice"}), ElementsAre("alice/web:1"));
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
  ask("carol", {"import", "disk.raw", "--name", "mine", "--version", "1"});
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
  EXPECT_EQ(bobs[0]["keepers"], json({"mine:1"}));
  EXPECT_EQ(ask("", {"image", "verify"}, 1)["damaged"][0]["images"],
            json({"alice/web:1", "bob/mine:1", "carol/mine:1"}));
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

TEST_F(Accounts, ImagesAreListedByOwnerAgeAndSeveralTags) {
  publish("bob", "web", "2", 2);
  tell("bob", {"image", "tag", "web", "--add", "a", "--add", "b"});
  publish("bob", "web", "3", 3);
  tell("bob", {"image", "tag", "web:3", "--add", "b"});
  EXPECT_THAT(images("", {"--tag", "a", "--tag", "b"}), ElementsAre("bob/web:2"));
  EXPECT_THAT(images("", {"--tag", "b"}), ElementsAre("bob/web:3", "bob/web:2"));
  EXPECT_THAT(images("", {"alice/web"}), ElementsAre("alice/web:1"));
  EXPECT_THAT(images("", {"--older", "30d"}), IsEmpty());
  EXPECT_EQ(images("", {"--newer", "30d"}).size(), 3U);
  EXPECT_EQ(
      refuse("", {"image", "list", "web:2"}, 2),
      "error: kiln image list takes a name, not \"web:2\"\nhelp: kiln image list web, or kiln image show web:2\n");
  EXPECT_THAT(refuse("", {"image", "list", "alice/web", "--owner", "bob"}, 2), HasSubstr("is not of --owner bob"));
  EXPECT_THAT(refuse("", {"image", "list", "--older", "30x"}, 2), HasSubstr("\"30x\" is no date"));
  EXPECT_THAT(refuse("bob", {"image", "prune", "alice/web"}, 2), HasSubstr("only images of your own are pruned"));
  EXPECT_EQ(ask("bob", {"image", "prune", "bob/web", "--keep", "9"})["versions"].size(), 2U);
}

TEST_F(Accounts, AReferenceIsWhole) {
  for (const char* reference : {"web:", "/web", "alice/", ":1"})
    EXPECT_THAT(refuse("alice", {"image", "show", reference}, 2), HasSubstr("names no image: there is nothing "));
  EXPECT_THAT(refuse("", {"quota", "set", "bob", "--bytes", "18446744073709551615"}, 2),
              HasSubstr("--bytes takes at most 8.0 EiB"));
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
