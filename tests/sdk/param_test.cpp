#include <kiln/param.h>

#include <gtest/gtest.h>

namespace kiln {
namespace {

struct User {
  std::string name;
  std::vector<std::string> ssh_keys;
  static const Schema<User>& schema() {
    static const Schema<User> s{{"name", &User::name, "Login name.", required}, {"ssh_keys", &User::ssh_keys, "Keys."}};
    return s;
  }
};
struct Sample {
  Bytes size;
  bool shrink = false;
  std::int64_t cpus = 2;
  Duration timeout{1000};
  std::string mode = "fast";
  std::string password;
  std::vector<User> users;
  std::filesystem::path file;
};
const Schema<Sample> schema{{"size", &Sample::size, "New size.", required},
                            {"shrink", &Sample::shrink, "Allow less."},
                            {"cpus", &Sample::cpus, "Processors."},
                            {"timeout", &Sample::timeout, "Limit."},
                            {"mode", &Sample::mode, {"fast", "small"}, "How."},
                            {"password", &Sample::password, "Never shown.", secret},
                            {"users", &Sample::users, "Accounts."},
                            {"file", &Sample::file, "Output."}};

std::vector<std::string> problems_of(const Table& given) {
  Problems problems;
  typed(given, schema.params(), problems);
  std::vector<std::string> out;
  for (const Problem& p : problems) out.push_back(p.param + ": " + p.what + (p.hint.empty() ? "" : " | " + p.hint));
  return out;
}

Value text(const char* t) {
  return Value{std::string(t)};
}

TEST(Typed, GivesValuesTheirTypes) {
  Problems problems;
  const Table t = typed({{"size", text("20G")},
                         {"shrink", text("true")},
                         {"cpus", text("4")},
                         {"timeout", text("2m")},
                         {"users", Value{List{Value{Table{{"name", text("a")}}}}}},
                         {"file", text("out/x")}},
                        schema.params(), problems);
  ASSERT_TRUE(problems.empty());
  const Sample s = schema.bind(t);
  EXPECT_EQ(s.size.count, 20ULL << 30);
  EXPECT_TRUE(s.shrink);
  EXPECT_EQ(s.cpus, 4);
  EXPECT_EQ(s.timeout, std::chrono::minutes(2));
  EXPECT_EQ(s.users.at(0).name, "a");
  EXPECT_EQ(s.file, "out/x");
  EXPECT_EQ(typed(t, schema.params(), problems), t);  // again: nothing left to do
}

TEST(Typed, NamesEverythingThatIsWrongAtOnce) {
  EXPECT_EQ(problems_of({{"siez", text("1G")}, {"timeout", Value{true}}, {"mode", text("slow")}}),
            (std::vector<std::string>{"mode: \"mode\" cannot be \"slow\" | choose one of \"fast\", \"small\"",
                                      "siez: unknown parameter \"siez\" | did you mean \"size\"?",
                                      "timeout: \"timeout\" takes a duration such as \"90s\", not a boolean",
                                      "size: missing required parameter \"size\" | New size."}));
}

TEST(Typed, LooksIntoRecords) {
  const Table user{{"nmae", text("x")}, {"ssh_keys", text("k")}};
  EXPECT_EQ(problems_of({{"size", Value{std::int64_t{5}}}, {"users", Value{List{Value{user}, Value{true}}}}}),
            (std::vector<std::string>{
                "users[0].nmae: unknown parameter \"users[0].nmae\" | did you mean \"name\"?",
                "users[0].ssh_keys: \"users[0].ssh_keys\" takes a list of strings, not \"k\" | write it in brackets: "
                "ssh_keys = [ … ]",
                "users[0].name: missing required parameter \"users[0].name\" | Login name.",
                "users[1]: \"users[1]\" takes a table, not a boolean"}));
}

TEST(Typed, RefusesSizesThatOverflowAndNegativeOnes) {
  EXPECT_EQ(problems_of({{"size", text("99999999999G")}}),
            (std::vector<std::string>{"size: \"size\" takes a size such as \"20G\", not \"99999999999G\""}));
  EXPECT_EQ(problems_of({{"size", Value{std::int64_t{-1}}}}),
            (std::vector<std::string>{"size: \"size\" takes a size such as \"20G\", not an integer"}));
}

TEST(Typed, NeverShowsASecret) {
  EXPECT_EQ(problems_of({{"size", text("1G")}, {"password", Value{std::int64_t{1}}}}),
            (std::vector<std::string>{"password: \"password\" takes a string, not an integer"}));
}

}  // namespace
}  // namespace kiln
