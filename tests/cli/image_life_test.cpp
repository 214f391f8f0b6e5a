// Channels, tags, states and the trash, asked the way a user asks.
#include "cli/accounts.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::StartsWith;

/// A source with its parameter, then publish.
std::string pipeline(const std::string& source, const std::string& param, const std::string& image) {
  return "[[stage]]\nuse = \"" + source + "\"\n" + param + "\n\n[[stage]]\nuse = \"publish\"\nimage = \"" + image +
         "\"\n";
}

class ImageLife : public Accounts {
 protected:
  ImageLife() { publish("alice", "web", "2", 2); }
  std::string state(const std::string& reference) {
    return ask("alice", {"image", "show", reference})["state"].get<std::string>();
  }
};

TEST_F(ImageLife, ChannelsMoveAndGoBack) {
  tell("alice", {"image", "promote", "web:1", "stable"});
  EXPECT_EQ(tell("alice", {"image", "promote", "web:2", "stable"}), "web:stable is web:2\n");
  EXPECT_EQ(ask("alice", {"image", "show", "web:stable"})["version"], "2");
  EXPECT_THAT(images("alice", {"--channel", "stable"}), ElementsAre("alice/web:2"));
  EXPECT_EQ(tell("alice", {"image", "rollback", "web", "stable"}), "web:stable is web:1 again\n");
  const json history = ask("alice", {"image", "channel", "web", "stable"})["history"];
  std::vector<std::string> versions;
  for (const json& move : history) versions.push_back(move["version"]);
  EXPECT_THAT(versions, ElementsAre("1", "2", "1"));
  EXPECT_EQ(history[0]["by"], "alice");
  EXPECT_THAT(tell("alice", {"image", "channel", "web", "stable"}), StartsWith("VERSION  MOVED"));
  EXPECT_EQ(refuse("alice", {"image", "channel", "web", "testing"}, 2),
            "error: image \"web\" has no channel \"testing\"\nhelp: kiln image promote web:VERSION testing\n");
}

TEST_F(ImageLife, WhatAChannelPointsAtIsRemovedOnceTheChannelEnds) {
  tell("alice", {"image", "promote", "web:1", "stable"});
  for (const char* how : {"--for=1d", "--now"})
    EXPECT_EQ(refuse("alice", {"image", "rm", "web:1", how}, 3),
              "error: channel \"stable\" points at image web:1\nhelp: point it elsewhere first: kiln image promote "
              "web:VERSION stable, or end it: kiln image channel web stable --remove\n");
  EXPECT_EQ(tell("alice", {"image", "channel", "web", "stable", "--remove"}), "web:stable points nowhere any longer\n");
  EXPECT_EQ(ask("alice", {"image", "channel", "web", "stable"})["history"][0]["version"], nullptr);
  EXPECT_THAT(refuse("alice", {"image", "channel", "web", "stable", "--remove"}, 2), HasSubstr("points nowhere"));
  tell("alice", {"image", "rm", "web:1"});
}

TEST_F(ImageLife, ChannelsAndVersionsAreToldApart) {
  tell("alice", {"image", "promote", "web:1", "stable"});
  EXPECT_EQ(refuse("alice", {"image", "promote", "web:1", "2"}, 2),
            "error: image web has a version \"2\", so no channel can be called that\n"
            "help: give the channel another name\n");
  EXPECT_THAT(kiln({"import", "disk.raw", "--name", "web", "--version", "stable", "--as", "alice"}).err,
              HasSubstr("image web has a channel \"stable\", so no version can be called that"));
  EXPECT_EQ(ask("alice", {"image", "show", "web:stable"})["version"], "1");
}

TEST_F(ImageLife, AnswersToTheOperatorNameTheOwner) {
  EXPECT_EQ(tell("", {"image", "protect", "alice/web:1"}), "alice/web:1 is protected\n");
  EXPECT_EQ(refuse("", {"image", "rm", "alice/web:1"}, 3),
            "error: image alice/web:1 is protected\nhelp: kiln image protect alice/web:1 --off\n");
  EXPECT_EQ(tell("", {"image", "protect", "alice/web:1", "--off"}), "alice/web:1 is not protected any longer\n");
  EXPECT_EQ(tell("", {"image", "promote", "alice/web:1", "stable"}), "alice/web:stable is alice/web:1\n");
  EXPECT_THAT(tell("", {"image", "rm", "alice/web:2"}), HasSubstr("kiln image restore alice/web:2 brings it back"));
  EXPECT_EQ(tell("", {"image", "restore", "alice/web:2"}), "alice/web:2 is available again\n");
}

TEST_F(ImageLife, OldVersionsArePruned) {
  publish("alice", "web", "3", 3);
  tell("alice", {"image", "promote", "web:1", "stable"});
  EXPECT_THAT(tell("alice", {"image", "prune", "web", "--keep", "1", "--dry-run"}),
              AllOf(HasSubstr("2        would go"), HasSubstr("1        stays     channel stable points at it")));
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:3", "alice/web:2", "alice/web:1"));
  EXPECT_EQ(ask("alice", {"image", "prune", "web", "--keep", "1"})["trashed"], json({"web:2"}));
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:3", "alice/web:1"));
  EXPECT_THAT(refuse("bob", {"image", "prune", "web"}, 2), HasSubstr("there is no image \"web\" of yours"));
}

TEST_F(ImageLife, TagsAndPropertiesFindImagesAgain) {
  const json tagged = ask("alice", {"image", "tag", "web:1", "--add", "blue", "--add", "old", "--set", "team=a=b",
                                    "--description", "the first"});
  EXPECT_EQ(tagged["tags"], json({"blue", "old"}));
  EXPECT_EQ(tagged["properties"]["team"], "a=b");
  EXPECT_EQ(tagged["description"], "the first");
  EXPECT_THAT(images("alice", {"--tag", "blue"}), ElementsAre("alice/web:1"));
  EXPECT_THAT(images("alice", {"--property", "team=a=b"}), ElementsAre("alice/web:1"));
  EXPECT_THAT(images("alice", {"--property", "team=a"}), IsEmpty());
  EXPECT_EQ(tell("alice", {"image", "tag", "web:1", "--remove", "old", "--unset", "team"}), "web:1  blue\n");
  EXPECT_THAT(tell("alice", {"image", "show", "web:1"}), HasSubstr("the first\n"));
  EXPECT_THAT(refuse("alice", {"image", "tag", "web:1"}, 2), StartsWith("error: kiln image tag: nothing to change"));
  EXPECT_THAT(refuse("alice", {"image", "tag", "web:1", "--set", "a=b", "--unset", "a"}, 2), HasSubstr("both set"));
}

TEST_F(ImageLife, ListsAreFiltered) {
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:2", "alice/web:1"));
  EXPECT_THAT(images("alice", {"--larger", "4M", "--smaller", "4M"}), ElementsAre("alice/web:2", "alice/web:1"));
  EXPECT_THAT(images("alice", {"--larger", "5M"}), IsEmpty());
  EXPECT_THAT(images("alice", {"--newer", "+1d"}), IsEmpty());
  EXPECT_THAT(images("alice", {"--older", "2020-01-01"}), IsEmpty());
  EXPECT_THAT(images("alice", {"--newer", "2020-01-01", "--older", "now", "--state", "available"}),
              ElementsAre("alice/web:2", "alice/web:1"));
  EXPECT_THAT(tell("alice", {"image", "list", "--tag", "none"}), StartsWith("no images that match"));
  EXPECT_EQ(refuse("alice", {"image", "list", "--state", "avaliable"}, 2),
            "error: an image is never \"avaliable\"\nhelp: did you mean \"available\"?\n");
  EXPECT_THAT(refuse("alice", {"image", "list", "--newer", "2026-02-30"}, 2), HasSubstr("is no date"));
}

TEST_F(ImageLife, ADeprecatedImageIsNotTheNewest) {
  EXPECT_EQ(tell("alice", {"image", "deprecate", "web:2", "--replacement", "web:1"}),
            "web:2 is deprecated; use web:1 instead\n");
  EXPECT_EQ(ask("alice", {"image", "show", "web"})["version"], "1");
  EXPECT_EQ(ask("alice", {"image", "show", "web:2"})["replacement"], "web:1");
  EXPECT_THAT(images("alice", {"--state", "deprecated"}), ElementsAre("alice/web:2"));
  EXPECT_THAT(tell("alice", {"image", "list"}), HasSubstr("deprecated  alice"));
  EXPECT_THAT(refuse("alice", {"image", "deprecate", "web:2", "--replacement", "web:2"}, 2), HasSubstr("itself"));
  EXPECT_EQ(tell("alice", {"image", "deprecate", "web:2", "--undo"}), "web:2 is available\n");
  EXPECT_EQ(ask("alice", {"image", "show", "web"})["version"], "2");
}

TEST_F(ImageLife, DatesToComeAreKeptAndActLater) {
  const json later = ask("alice", {"image", "deprecate", "web:2", "--at", "+30d", "--obsolete", "+60d"});
  EXPECT_EQ(later["state"], "available");
  EXPECT_LT(later["deprecated_at"], later["obsolete_at"]);
  EXPECT_THAT(tell("alice", {"image", "show", "web:2"}), HasSubstr("(to come)"));
  const json replaced = ask("alice", {"image", "deprecate", "web:2", "--replacement", "web:1"});
  EXPECT_EQ(replaced["deprecated_at"], later["deprecated_at"]);
  EXPECT_EQ(replaced["obsolete_at"], later["obsolete_at"]);
  tell("alice", {"image", "deprecate", "web:2", "--at", "2020-01-01", "--obsolete", "2020-01-02"});
  EXPECT_EQ(state("web:2"), "obsolete");
  EXPECT_THAT(refuse("alice", {"launch", "web:2"}, 3), HasSubstr("image web:2 is obsolete and cannot be launched"));
}

TEST_F(ImageLife, ARevokedImageCannotBeUsed) {
  EXPECT_THAT(refuse("alice", {"image", "revoke", "web:1"}, 2), HasSubstr("--reason is missing"));
  EXPECT_EQ(tell("alice", {"image", "revoke", "web:1", "--reason", "CVE-1"}), "web:1 is revoked\n");
  EXPECT_EQ(refuse("alice", {"image", "export", "web:1", "out.raw"}, 3),
            "error: image web:1 is revoked and cannot be exported\n     | reason: CVE-1\n"
            "help: see what is known of it: kiln image show web:1\n");
  EXPECT_THAT(refuse("alice", {"launch", "web:1"}, 3), HasSubstr("reason: CVE-1"));
  EXPECT_THAT(tell("alice", {"image", "show", "web:1"}), HasSubstr("CVE-1"));
  EXPECT_THAT(refuse("alice", {"image", "revoke", "web:1", "--at", "+30d", "--reason", "later"}, 3),
              AllOf(StartsWith("error: image web:1 is revoked already, since "), HasSubstr("reason: CVE-1"),
                    HasSubstr("kiln image revoke web:1 --undo\n")));
  EXPECT_EQ(state("web:1"), "revoked");
  EXPECT_EQ(refuse("alice", {"image", "revoke", "web:1", "--undo", "--reason", "x"}, 2).substr(0, 6), "error:");
  EXPECT_EQ(tell("alice", {"image", "revoke", "web:1", "--undo"}), "web:1 is available\n");
}

TEST_F(ImageLife, TheTrashGivesBack) {
  EXPECT_THAT(tell("alice", {"image", "rm", "web:1"}),
              MatchesRegex("web:1 is in the trash until .*; kiln image restore web:1 brings it back\n"));
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:2"));
  EXPECT_THAT(images("alice", {"--trash"}), ElementsAre("alice/web:1"));
  EXPECT_THAT(images("alice", {"--state", "trashed"}), ElementsAre("alice/web:1"));
  EXPECT_THAT(refuse("alice", {"launch", "web:1"}, 3), HasSubstr("help: restore it first: kiln image restore web:1"));
  EXPECT_EQ(tell("alice", {"image", "restore", "web:1"}), "web:1 is available again\n");
  EXPECT_EQ(ask("alice", {"image", "verify", "web:1"})["ok"], true);

  const json term = ask("alice", {"image", "rm", "web:1", "--for", "30d"});
  EXPECT_EQ(term["state"], "trashed");
  EXPECT_GT(term["purge_at"], term["trashed_at"]);
  EXPECT_GT(ask("alice", {"image", "rm", "web:1", "--now"})["freed_bytes"], 0);
  EXPECT_THAT(images("alice", {"--trash"}), IsEmpty());
  EXPECT_THAT(refuse("alice", {"image", "rm", "web:2", "--for", "soon"}, 2), HasSubstr("for example --for 30d"));
  EXPECT_EQ(refuse("alice", {"image", "rm", "web:2", "--for", "1d", "--now"}, 2).substr(0, 6), "error:");
  for (const std::string none : {"0s", "0d", "0h"})
    EXPECT_EQ(refuse("alice", {"image", "rm", "web:2", "--for", none}, 2),
              "error: --for " + none + " is no time at all\nhelp: to remove it for good: kiln image rm IMAGE --now\n");
  EXPECT_THAT(refuse("alice", {"image", "rm", "web:2", "--for", "9999d"}, 2), HasSubstr("more than ten years"));
  EXPECT_EQ(state("web:2"), "available");
}

TEST_F(ImageLife, WhatIsInTheTrashIsBuiltAgain) {
  kiln.write("db.toml", pipeline("import", "file = \"disk.raw\"", "db"));
  ask("alice", {"build", "db.toml"});
  tell("alice", {"image", "rm", "db"});
  ask("alice", {"build", "db.toml"});
  EXPECT_EQ(images("alice", {"db"}).size(), 1U);
  EXPECT_EQ(images("alice", {"db", "--trash"}).size(), 1U);
}

TEST_F(ImageLife, AnImageIsBuiltFromAnother) {
  tell("alice", {"image", "promote", "web:1", "stable"});
  kiln.write("db.toml", pipeline("image", "image = \"web:stable\"", "db"));
  ask("alice", {"build", "db.toml"});
  EXPECT_EQ(ask("alice", {"plan", "db.toml"})["hits"], 2);
  const json first = ask("alice", {"image", "show", "db"});
  EXPECT_EQ(first["parents"][0]["image"], "alice/web:1");
  EXPECT_EQ(first["source"]["image"], "web:1");
  EXPECT_EQ(first["content"], ask("alice", {"image", "show", "web:1"})["content"]);
  EXPECT_EQ(first["stored_bytes"], 0);
  EXPECT_THAT(tell("alice", {"image", "show", "web:1"}), HasSubstr("(out of date)"));  // there is a web:2

  tell("alice", {"image", "promote", "web:2", "stable"});
  EXPECT_EQ(ask("alice", {"plan", "db.toml"})["hits"], 0);
  ask("alice", {"build", "db.toml"});
  EXPECT_EQ(ask("alice", {"image", "show", "db"})["parents"][0]["image"], "alice/web:2");

  EXPECT_THAT(tell("alice", {"image", "revoke", "web:2", "--reason", "CVE-1"}),
              HasSubstr("and with it 1 image built from it"));
  EXPECT_THAT(images("alice", {"db", "--state", "revoked"}).size(), 1U);
  const Answer refused = kiln({"build", "db.toml", "--as", "alice"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_THAT(refused.err, HasSubstr("image web:2 is revoked and cannot be built from"));
  EXPECT_THAT(refused.err, HasSubstr("reason: CVE-1"));
}

TEST_F(ImageLife, ChildrenAreToldFromTheirChildren) {
  kiln.write("db.toml", pipeline("image", "image = \"web:1\"", "db"));
  kiln.write("app.toml", pipeline("image", "image = \"db\"", "app"));
  ask("alice", {"build", "db.toml"});
  ask("alice", {"build", "app.toml"});
  const json web = ask("alice", {"image", "show", "web:1"});
  ASSERT_EQ(web["children"].size(), 1U);
  EXPECT_THAT(web["children"][0]["image"].get<std::string>(), StartsWith("alice/db:"));
  EXPECT_EQ(web["descendants"].size(), 2U);
  const std::string text = tell("alice", {"image", "show", "web:1"});
  EXPECT_THAT(text, testing::ContainsRegex("\nchild +alice/db:"));
  EXPECT_THAT(text, testing::ContainsRegex("\ndescendant +alice/app:"));
  tell("alice", {"image", "revoke", "db", "--reason", "CVE-1"});
  tell("alice", {"image", "revoke", "web:1", "--reason", "CVE-2"});
  EXPECT_THAT(tell("alice", {"image", "revoke", web["children"][0]["id"], "--undo"}),
              HasSubstr(" is revoked, because an image that it was built from is\n"));
}

TEST_F(ImageLife, AnImageOfAnotherIsBuiltFromOnceItIsShared) {
  kiln.write("db.toml", pipeline("image", "image = \"alice/web:1\"", "db"));
  EXPECT_THAT(kiln({"build", "db.toml", "--as", "bob"}).err, HasSubstr("there is no image \"alice/web:1\" to build"));
  tell("alice", {"share", "add", "web:1", "--with", "bob", "--copy"});
  EXPECT_THAT(kiln({"build", "db.toml", "--as", "bob"}).err, HasSubstr("kiln share accept alice/web:1"));
  tell("bob", {"share", "accept", "alice/web:1"});
  ask("bob", {"build", "db.toml"});
  EXPECT_EQ(ask("bob", {"image", "show", "db"})["parents"][0]["image"], "alice/web:1");
  tell("alice", {"share", "cancel", "web:1", "--with", "bob"});
  EXPECT_EQ(ask("bob", {"image", "show", "db"})["parents"][0]["image"], nullptr);
  EXPECT_EQ(kiln({"build", "db.toml", "--as", "bob"}).status, 2);
}

TEST_F(ImageLife, AProtectedImageStays) {
  EXPECT_EQ(tell("alice", {"image", "protect", "web:1"}), "web:1 is protected\n");
  for (const char* how : {"", "--now"}) {
    std::vector<std::string> words{"image", "rm", "web:1"};
    if (*how != '\0') words.emplace_back(how);
    EXPECT_EQ(refuse("alice", words, 3), "error: image web:1 is protected\nhelp: kiln image protect web:1 --off\n");
  }
  EXPECT_EQ(tell("alice", {"image", "protect", "web:1", "--off"}), "web:1 is not protected any longer\n");
  EXPECT_EQ(ask("alice", {"image", "rm", "web:1", "--now"})["removed"], "web:1");
}

}  // namespace
}  // namespace kiln::test
