// Keys, signatures and the launch policy, as users and their pipelines meet them.
#include <fstream>

#include <kiln/file.h>

#include "cli/accounts.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// alice signs what she publishes, and lets bob, who trusts her key, use and copy app:1.
class Policy : public Accounts {
 protected:
  Policy() {
    tell("", {"key", "new", "--name", "release"});
    kiln.write("home/config.toml", "signing_key = \"release\"\n");
    publish("alice", "app", "1", 2);
    tell("alice", {"share", "add", "app", "--with", "bob", "--copy"});
    tell("bob", {"share", "accept", "alice/app"});
  }
  void policy(const std::string& text) { kiln.write("home/policy.toml", text); }
  std::string place(const std::string& at) const { return (kiln.home() / "policy.toml").string() + at; }
  /// A pipeline of bob's that starts from alice's image.
  Answer build() {
    kiln.write("web.toml",
               "[[stage]]\nuse = \"image\"\nimage = \"alice/app\"\n\n[[stage]]\nuse = \"publish\"\nimage = \"mine\"\n");
    return kiln({"build", "web.toml", "--as", "bob"});
  }
  json signatures() { return ask("bob", {"image", "show", "alice/app"})["signatures"]; }
};

TEST_F(Accounts, KeysAreMadeListedExportedAndTrusted) {
  EXPECT_EQ(ask("", {"key", "list"})["keys"], json::array());
  const json made = ask("", {"key", "new"});
  EXPECT_EQ(made["name"], "default");
  EXPECT_EQ(made["own"], true);
  const std::string pem = tell("", {"key", "export", "default"});
  EXPECT_THAT(pem, StartsWith("-----BEGIN PUBLIC KEY-----\n"));
  EXPECT_EQ(ask("", {"key", "export", "default"})["pem"], pem);
  EXPECT_THAT(refuse("", {"key", "new"}, 2), HasSubstr("there is a key \"default\" already"));
  EXPECT_THAT(refuse("", {"key", "export", "defualt"}, 2), HasSubstr("help: did you mean \"default\"?"));

  const std::filesystem::path mine = kiln.home() / "keys/default.pem";
  EXPECT_THAT(refuse("", {"key", "trust", mine.string(), "--name", "x"}, 3), HasSubstr("is a private key"));
  EXPECT_THAT(refuse("", {"key", "trust", mine.string()}, 2), HasSubstr("--name is missing"));
  std::filesystem::remove(mine);
  kiln.write("alice.pub", pem);
  EXPECT_EQ(ask("", {"key", "trust", "alice.pub", "--name", "alice"})["id"], made["id"]);
  const json keys = ask("", {"key", "list"})["keys"];
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0]["name"], "alice");
  EXPECT_EQ(keys[0]["own"], false);
  EXPECT_THAT(tell("", {"key", "list"}), HasSubstr("alice  trusted  " + made["id"].get<std::string>()));
}

TEST_F(Policy, ShowTellsWhoMadeItFromWhatAndWhoSignedIt) {
  const json all = signatures();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0]["key"], "release");
  EXPECT_EQ(all[0]["verdict"], "good");
  const std::string text = tell("bob", {"image", "show", "alice/app"});
  EXPECT_THAT(text, testing::ContainsRegex("owner +alice\n"));
  EXPECT_THAT(text, testing::ContainsRegex("made from +disk.raw, raw\n"));
  EXPECT_THAT(text, testing::ContainsRegex("signed by +release \\([0-9a-f]+…\\), good\n"));
  EXPECT_THAT(tell("alice", {"image", "show", "web"}), testing::ContainsRegex("signed by +nobody\n"));

  std::filesystem::rename(kiln.home() / "keys", kiln / "away");
  EXPECT_EQ(signatures()[0]["verdict"], "unknown");
  EXPECT_THAT(tell("bob", {"image", "show", "alice/app"}), HasSubstr("…, a key that is not trusted here"));
}

TEST_F(Policy, AnImageIsSignedLater) {
  tell("", {"key", "new", "--name", "second"});
  tell("alice", {"image", "sign", "app", "--key", "second"});
  EXPECT_EQ(signatures().size(), 2U);
  tell("alice", {"image", "sign", "web"});
  EXPECT_EQ(ask("alice", {"image", "show", "web"})["signatures"][0]["key"], "release");
  EXPECT_THAT(refuse("bob", {"image", "sign", "alice/app"}, 3), HasSubstr("belongs to alice"));
  kiln.write("home/config.toml", "");
  EXPECT_THAT(refuse("alice", {"image", "sign", "web"}, 2), HasSubstr("it is not said with which key to sign"));
}

TEST_F(Policy, AKeyThatIsNotThereStopsAPublish) {
  kiln.write("home/config.toml", "signing_key = \"relaese\"\n");
  const std::string file = (kiln.home() / "config.toml").string();
  EXPECT_THAT(refuse("alice", {"import", "disk.raw", "--name", "new"}, 2),
              HasSubstr(file + ": \"signing_key\": there is no key \"relaese\"\nhelp: did you mean \"release\"?\n"));
  EXPECT_THAT(images("alice"), ElementsAre("alice/app:1", "alice/web:1"));
}

TEST_F(Policy, WithoutAFileAllRunsThatMayRun) {
  const json answer = ask("bob", {"policy", "check", "alice/app"});
  EXPECT_EQ(answer["allowed"], true);
  EXPECT_EQ(answer["policy"], nullptr);
  EXPECT_EQ(tell("bob", {"policy", "check", "alice/app"}), "alice/app:1 may run: there is no launch policy\n");
  EXPECT_THAT(refuse("bob", {"policy", "check", "alice/web"}, 2), HasSubstr("there is no image \"web\""));
}

TEST_F(Policy, EnforcedItIsAskedByLaunchAndByBothStages) {
  policy("mode = \"enforce\"\n\n[[allow]]\nowner = \"alice\"\nkey = \"other\"\n");
  const std::string refused = "error: image alice/app:1 may not run: no rule of the launch policy allows it\n     | " +
                              place(":3: the nearest rule: owner = \"alice\", key = \"other\"\n") +
                              "     | key: it is signed by release, not by \"other\"\n"
                              "help: use an image that the policy allows, or ask whoever keeps " +
                              place(" for a rule\n");
  EXPECT_EQ(refuse("bob", {"policy", "check", "alice/app"}, 3), refused);
  const json told = ask("bob", {"policy", "check", "alice/app"}, 3);  // an answer, and no error
  EXPECT_EQ(told["allowed"], false);
  EXPECT_EQ(told["line"], 3);
  EXPECT_EQ(told["lacks"].size(), 1U);
  EXPECT_EQ(refuse("bob", {"launch", "alice/app", "--accel", "tcg"}, 3), refused);
  const Answer built = build();
  EXPECT_EQ(built.status, 3);
  EXPECT_THAT(built.err, HasSubstr("image alice/app:1 may not run: no rule of the launch policy allows it\n"));
  EXPECT_THAT(built.err, HasSubstr(place(":3: the nearest rule: ")));
  kiln.write(
      "run.toml",
      "[[stage]]\nuse = \"import\"\nfile = \"disk.raw\"\n\n[[stage]]\nuse = \"launch\"\nimage = \"alice/app\"\n");
  const Answer launched = kiln({"build", "run.toml", "--as", "bob", "--accel", "tcg"});
  EXPECT_EQ(launched.status, 3);
  EXPECT_THAT(launched.err, HasSubstr("image alice/app:1 may not run: no rule of the launch policy allows it\n"));
  EXPECT_THAT(files_below(kiln.home() / "instances"), IsEmpty());
  EXPECT_THAT(images("bob"), ElementsAre("alice/app:1"));

  policy("mode = \"enforce\"\n\n[[allow]]\nowner = \"alice\"\nkey = \"release\"\nmax_age = \"1d\"\n");
  EXPECT_EQ(tell("bob", {"policy", "check", "alice/app"}),
            "alice/app:1 may run: " + place(":3: owner = \"alice\", key = \"release\", max_age = \"1d\"\n"));
  EXPECT_EQ(ask("bob", {"policy", "check", "alice/app"})["line"], 3);
  EXPECT_EQ(build().status, 0);
  EXPECT_EQ(
      tell("bob", {"policy", "check", "mine"}),
      "bob/mine:" + ask("bob", {"image", "show", "mine"})["version"].get<std::string>() + " may run: it is yours\n");

  // What was built stays, but is not built again once the rule is gone.
  policy("mode = \"enforce\"\nown = false\n");
  EXPECT_EQ(build().status, 3);
  EXPECT_THAT(refuse("bob", {"policy", "check", "mine"}, 3), HasSubstr(place(": has no [[allow]] rule")));
}

TEST_F(Policy, ItIsAskedBeforeACopyMakesAnImageOnesOwn) {
  const std::vector<std::string> copy{"image", "copy", "alice/app", "--to", "local"};
  policy("mode = \"enforce\"\n\n[[allow]]\nowner = \"trusted\"\n");
  EXPECT_THAT(refuse("bob", copy, 3),
              HasSubstr("image alice/app:1 may not run: no rule of the launch policy allows it\n"));
  EXPECT_THAT(images("bob"), ElementsAre("alice/app:1"));
  policy("mode = \"audit\"\n\n[[allow]]\nowner = \"trusted\"\n");
  EXPECT_THAT(ask("bob", copy)["warnings"][0].get<std::string>(), HasSubstr("is allowed by no rule"));
  EXPECT_THAT(images("bob"), ElementsAre("alice/app:1", "bob/app:1"));
  // What stays its owner's keeps being asked about where it is.
  policy("mode = \"enforce\"\nown = true\n");
  kiln.write("home/config.toml", "[region.west]\nfolder = \"" + (kiln / "west").string() + "\"\n");
  EXPECT_EQ(ask("alice", {"image", "copy", "app", "--to", "west"})["copies"][0]["image"], "alice/app:1");
}

TEST_F(Policy, AuditedItWarnsAndGoesOn) {
  policy("mode = \"audit\"\n\n[[allow]]\nchannel = \"stable\"\n");
  const std::string warning = "image alice/app:1 is allowed by no rule of the launch policy: " +
                              place(":3: the nearest rule: channel = \"stable\"; channel: no channel points at it");
  const Answer checked = kiln({"policy", "check", "alice/app", "--as", "bob"});
  EXPECT_EQ(checked.status, 0);
  EXPECT_EQ(checked.err, "warning: " + warning + "\n");
  EXPECT_EQ(ask("bob", {"policy", "check", "alice/app"})["allowed"], false);
  EXPECT_EQ(ask("bob", {"policy", "check", "alice/app"})["warnings"], json({warning}));
  const Answer built = build();
  EXPECT_EQ(built.status, 0);
  EXPECT_THAT(built.err, HasSubstr(warning));
  tell("alice", {"image", "promote", "app", "stable"});
  EXPECT_EQ(ask("bob", {"policy", "check", "alice/app"})["allowed"], true);
}

TEST_F(Policy, ATamperedRecordDoesNotRun) {
  policy("mode = \"enforce\"\n\n[[allow]]\nkey = \"release\"\n");
  EXPECT_EQ(kiln({"policy", "check", "alice/app", "--as", "bob"}).status, 0);
  // As somebody would who can write to the file: the image comes from elsewhere.
  const std::filesystem::path records = kiln.home() / "catalog/records.sqlite";
  std::string bytes = read_text(records);
  const std::string was = R"("source.file":"disk.raw")", becomes = R"("source.file":"evil.raw")";
  for (std::size_t at; (at = bytes.find(was)) != std::string::npos;) bytes.replace(at, was.size(), becomes);
  std::ofstream(records, std::ios::binary) << bytes;
  EXPECT_EQ(signatures()[0]["verdict"], "bad");
  EXPECT_THAT(tell("bob", {"image", "show", "alice/app"}), HasSubstr("BAD: this is not what was signed"));
  const std::string refused = refuse("bob", {"launch", "alice/app", "--accel", "tcg"}, 3);
  EXPECT_THAT(refused, HasSubstr("     | key: its signature by \"release\" is bad\n"));
  EXPECT_EQ(build().status, 3);
}

TEST_F(Policy, DamagedContentIsNotBuiltFrom) {
  policy("mode = \"enforce\"\n\n[[allow]]\nkey = \"release\"\n");
  EXPECT_EQ(kiln({"policy", "check", "alice/app", "--as", "bob"}).status, 0);
  for (const std::string& name : files_below(kiln.home() / "catalog/packs")) {
    const auto pack = kiln.home() / "catalog/packs" / name;
    std::filesystem::permissions(pack, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
    std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(pack) / 2));
    file.write("damage", 6);
  }
  const Answer built = build();
  EXPECT_EQ(built.status, 1) << built.err;
  EXPECT_THAT(built.err, HasSubstr("damaged"));
  EXPECT_THAT(images("bob", {"--state", "available"}), ElementsAre("alice/app:1"));
}

TEST_F(Policy, APolicyThatCannotBeUnderstoodForbidsAll) {
  policy("mode = \"enforce\"\n\n[[allow]]\nowners = \"alice\"\n");
  const std::string mistake = "error: " + place(":4:1: unknown condition \"owners\"\n") +
                              "     |    4 | owners = \"alice\"\n     |      | ^^^^^^\nhelp: did you mean \"owner\"?\n";
  EXPECT_EQ(refuse("bob", {"policy", "check", "alice/app"}, 3), mistake);
  EXPECT_EQ(refuse("bob", {"launch", "alice/app", "--accel", "tcg"}, 3), mistake);
  EXPECT_EQ(refuse("alice", {"launch", "app", "--accel", "tcg"}, 3), mistake);
  EXPECT_EQ(build().status, 3);
  EXPECT_EQ(ask("bob", {"image", "show", "alice/app"})["version"], "1");
}

}  // namespace
}  // namespace kiln::test
