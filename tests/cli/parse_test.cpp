#include "cli/parse.h"

#include <gmock/gmock.h>

namespace kiln::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Parsed parse(const std::vector<std::string>& words) {
  return parse_command_line(words, verbs());
}

Error error_of(const std::vector<std::string>& words) {
  try {
    parse(words);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error("");
}

TEST(Parse, FindsVerbArgumentsAndOptions) {
  const Parsed parsed = parse({"build", "web.toml", "--set", "a=1", "--set", "b=2", "--json"});
  ASSERT_NE(parsed.verb, nullptr);
  EXPECT_EQ(parsed.verb->name, "build");
  EXPECT_EQ(parsed.args.text("FILE"), "web.toml");
  EXPECT_THAT(parsed.args.all("set"), ElementsAre("a=1", "b=2"));
  EXPECT_TRUE(parsed.args.has("json"));
  EXPECT_FALSE(parsed.args.has("no-sandbox"));
  EXPECT_TRUE(parse({"--no-sandbox", "build", "web.toml"}).args.has("no-sandbox"));
  EXPECT_TRUE(parse({"build", "web.toml", "--no-sandbox"}).args.has("no-sandbox"));
}

TEST(Parse, TakesAnOptionBetweenArguments) {
  const Parsed parsed = parse({"convert", "-o", "compression=zstd", "a.vhd", "--to", "qcow2", "b.img"});
  EXPECT_EQ(parsed.args.text("IN"), "a.vhd");
  EXPECT_EQ(parsed.args.text("OUT"), "b.img");
  EXPECT_THAT(parsed.args.all("option"), ElementsAre("compression=zstd"));
}

TEST(Parse, PassesOnWhatStandsAfterTheMark) {
  const Parsed parsed = parse({"--as", "bob", "exec", "--timeout", "5s", "web", "--", "ls", "--json", "-l", "--", ""});
  EXPECT_EQ(parsed.args.text("NAME"), "web");
  EXPECT_EQ(parsed.args.text("timeout"), "5s");
  EXPECT_THAT(parsed.args.all("PROGRAM"), ElementsAre("ls", "--json", "-l", "--", ""));
  EXPECT_FALSE(parsed.args.has("json"));
  EXPECT_TRUE(parse({"ssh", "web"}).args.all("COMMAND").empty());
  EXPECT_TRUE(parse({"exec", "web", "--"}).args.all("PROGRAM").empty());
  EXPECT_STREQ(error_of({"exec", "web", "ls"}).what(), "kiln exec: one argument too many: \"ls\"");
  EXPECT_EQ(error_of({"exec", "web", "ls"}).hint(), "kiln exec NAME -- PROGRAM...");
  EXPECT_THAT(parse({"exec", "--help"}).text, HasSubstr("PROGRAM... and its arguments"));
}

TEST(Parse, FindsVerbsOfAGroup) {
  const Parsed parsed = parse({"image", "show", "web:1"});
  ASSERT_NE(parsed.verb, nullptr);
  EXPECT_EQ(parsed.verb->name, "image show");
  EXPECT_EQ(parsed.args.text("IMAGE"), "web:1");
}

TEST(Parse, TakesJsonBeforeTheVerbToo) {
  EXPECT_TRUE(parse({"--json", "ps"}).args.has("json"));
}

TEST(Parse, TakesTheAccountOnBothSidesOfTheVerb) {
  EXPECT_EQ(parse({"--as", "bob", "ps"}).args.text("as"), "bob");
  EXPECT_EQ(parse({"image", "list", "--as", "bob"}).args.text("as"), "bob");
  EXPECT_EQ(parse({"--as", "alice", "image", "list", "--as", "bob"}).args.text("as"), "bob");
  EXPECT_FALSE(parse({"image", "list"}).args.has("as"));
}

TEST(Parse, TakesNamesWithDashesQuotesAndLines) {
  EXPECT_EQ(parse({"inspect", "--", "-disk.img"}).args.text("FILE"), "-disk.img");
  EXPECT_EQ(parse({"inspect", "a\nb\"c'"}).args.text("FILE"), "a\nb\"c'");
  EXPECT_EQ(parse({"inspect", "[a,b]"}).args.text("FILE"), "[a,b]");
  EXPECT_EQ(parse({"import", "a", "--name", "-x"}).args.text("name"), "-x");
}

TEST(Parse, SuggestsTheNearestVerb) {
  const Error error = error_of({"biuld", "web.toml"});
  EXPECT_STREQ(error.what(), "kiln has no \"biuld\"");
  EXPECT_EQ(error.hint(), "did you mean \"kiln build\"?");
  EXPECT_EQ(error.failure(), Failure::invalid);
  EXPECT_EQ(error_of({"image", "lst"}).hint(), "did you mean \"kiln image list\"?");
}

TEST(Parse, SuggestsTheNearestOption) {
  const Error error = error_of({"build", "web.toml", "--agian", "boot"});
  EXPECT_STREQ(error.what(), "kiln build: unknown option \"--agian\"");
  EXPECT_EQ(error.hint(), "did you mean \"--again\"?");
}

TEST(Parse, SaysWhatIsMissingOrTooMuch) {
  EXPECT_STREQ(error_of({"convert", "a"}).what(), "kiln convert: OUT is missing");
  EXPECT_EQ(error_of({"convert", "a"}).hint(), "kiln convert IN OUT");
  EXPECT_STREQ(error_of({"check", "a", "b"}).what(), "kiln check: one argument too many: \"b\"");
}

TEST(Parse, HelpsOnEveryVerb) {
  for (const Verb& verb : verbs()) {
    std::vector<std::string> words;
    const std::string name(verb.name);
    if (const auto space = name.find(' '); space != std::string::npos)
      words = {name.substr(0, space), name.substr(space + 1)};
    else
      words = {name};
    words.push_back("--help");
    const Parsed parsed = parse(words);
    EXPECT_EQ(parsed.verb, nullptr);
    EXPECT_EQ(parsed.exit_code, 0);
    EXPECT_THAT(parsed.text, HasSubstr(std::string(verb.help)));
    for (const Arg& arg : verb.args) EXPECT_THAT(parsed.text, HasSubstr(std::string(arg.name))) << name;
    EXPECT_THAT(parsed.text, HasSubstr("--json"));
  }
}

TEST(Parse, WithoutAVerbShowsTheHelpAndFails) {
  EXPECT_EQ(parse({}).exit_code, 2);
  EXPECT_THAT(parse({}).text, HasSubstr("build"));
  EXPECT_EQ(parse({"image"}).exit_code, 2);
  EXPECT_THAT(parse({"--version"}).text, testing::StartsWith("kiln "));
}

}  // namespace
}  // namespace kiln::cli
