// A catalog whose records are on a PostgreSQL server: the account is who logs in there.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "support/postgres.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class Server : public testing::Test {
 protected:
  Server() {
    const std::string url = PostgresServer::shared().new_database();
    const std::string name = url.substr(0, url.find('?')), host = url.substr(url.find("&host=") + 6);
    operator_ = "postgresql://kiln@/" + name.substr(name.rfind('/') + 1) + "?host=" + host;
    log_in(operator_);
    kiln.raw_disk("disk.raw");
    EXPECT_EQ(kiln({"import", "disk.raw", "--name", "base", "--version", "1"}).status, 0);
    user_ = PostgresServer::shared().as_user(url, "alice" + name.substr(name.rfind("test") + 4));
  }
  void log_in(const std::string& url) {
    std::filesystem::create_directories(kiln.home());
    kiln.write("home/config.toml", "catalog = \"" + url + "\"\n");
  }
  json ask(std::vector<std::string> words) {
    words.push_back("--json");
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    const auto last = answer.out.rfind('\n', answer.out.size() - 2);
    return json::parse(answer.out.substr(last == std::string::npos ? 0 : last + 1));
  }

  Program kiln;
  std::string operator_, user_;
};

TEST_F(Server, WhoeverOwnsTheDatabaseIsTheOperator) {
  EXPECT_EQ(ask({"image", "list"})["images"][0]["owner"], "kiln");
  EXPECT_EQ(ask({"image", "public", "base"})["public"], true);
  EXPECT_EQ(kiln({"gc"}).status, 0);
  EXPECT_EQ(kiln({"quota", "set", "kiln", "--images", "5"}).status, 0);
}

TEST_F(Server, EverybodyElseIsAnAccountOfTheirOwn) {
  log_in(user_);
  EXPECT_THAT(ask({"image", "list"})["images"], IsEmpty());
  EXPECT_EQ(kiln({"gc"}).status, 3);
  EXPECT_EQ(kiln({"import", "disk.raw", "--name", "mine", "--version", "1"}).status, 0);
  EXPECT_THAT(std::string(ask({"image", "list"})["images"][0]["owner"]), StartsWith("alice"));
  const Answer answer = kiln({"image", "list", "--as", "kiln"});
  EXPECT_EQ(answer.status, 3);
  EXPECT_THAT(answer.err, StartsWith("error: --as is for a catalog in a folder"));
  log_in(operator_);
  EXPECT_EQ(ask({"image", "list"})["images"].size(), 2U);
}

TEST_F(Server, WhoeverIsNotLetInHearsWhy) {
  log_in("postgresql://nobody_of_that_name@/" + operator_.substr(operator_.find("@/") + 2));
  const Answer answer = kiln({"image", "list"});
  EXPECT_EQ(answer.status, 1);
  EXPECT_THAT(answer.err, HasSubstr("the catalog's database cannot be used"));
}

}  // namespace
}  // namespace kiln::test
