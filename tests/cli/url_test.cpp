// Disks that come from a server or through a pipe.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include <kiln/hash.h>

#include "cli/program.h"
#include "support/disks.h"
#include "support/file_server.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;

class FromUrl : public testing::Test {
 protected:
  FromUrl() {
    kiln.raw_disk("disk.raw", 40);
    publish();
  }
  void publish() {
    std::filesystem::remove(kiln / "disk.qcow2");
    qemu_from_raw(kiln / "disk.raw", kiln / "disk.qcow2", "qcow2");
    std::ostringstream bytes;
    bytes << std::ifstream(kiln / "disk.qcow2", std::ios::binary).rdbuf();
    server.put("disk.qcow2", bytes.str());
  }
  Answer tell(const std::vector<std::string>& words) {
    Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    return answer;
  }
  FileServer server;
  Program kiln;
  const std::string url = server.url("disk.qcow2?token=secret");
};

TEST_F(FromUrl, IsImportedKeptAndAskedForAgain) {
  EXPECT_THAT(tell({"import", url, "--name", "web", "--allow", "127.0.0.1"}).out, HasSubstr("web:"));
  const json image = json::parse(tell({"image", "show", "web", "--json"}).out);
  EXPECT_EQ(image["facts"]["source.url"], server.url("disk.qcow2"));
  EXPECT_EQ(image["facts"]["source.file"], "disk.qcow2");
  EXPECT_EQ(image["facts"]["source.format"], "qcow2");
  EXPECT_EQ(image["facts"]["source.sha256"], hash_file(kiln / "disk.qcow2"));
  tell({"image", "export", "web", "back.raw"});
  EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "back.raw"));
  EXPECT_THAT(server.requests(), ElementsAre(HasSubstr(" 200")));

  tell({"import", url, "--name", "web", "--allow", "127.0.0.1"});
  EXPECT_THAT(server.requests(), ElementsAre(HasSubstr(" 304 ")));
  std::filesystem::remove(kiln / "disk.raw");
  kiln.raw_disk("disk.raw", 40, 2);
  publish();
  tell({"import", url, "--name", "web", "--allow", "127.0.0.1"});
  EXPECT_THAT(server.requests(), ElementsAre(HasSubstr(" 200 if-none-match"), HasSubstr(" 200 if-none-match")));
  tell({"image", "export", "web", "again.raw"});
  EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "again.raw"));
}

TEST_F(FromUrl, IsRefusedWhereNothingIsAllowed) {
  const Answer answer = kiln({"import", url, "--name", "web", "--json"});
  EXPECT_EQ(answer.status, 3);
  EXPECT_THAT(answer.out, HasSubstr("\"PrivateAddress\""));
  EXPECT_THAT(answer.out + answer.err, testing::Not(HasSubstr("secret")));
  EXPECT_THAT(server.requests(), IsEmpty());
  EXPECT_EQ(kiln({"import", "file:///etc/passwd", "--name", "web"}).status, 2);
}

TEST_F(FromUrl, TakesRoomThatTheCacheTellsAndGivesBack) {
  tell({"convert", url, "out.raw", "--allow", "127.0.0.0/8"});
  EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "out.raw"));
  EXPECT_THAT(tell({"cache", "list"}).out, MatchesRegex("1 download, [0-9.]+ MiB\n.*"));
  const json list = json::parse(tell({"cache", "list", "--json"}).out);
  EXPECT_EQ(list["downloads"]["files"], 1);
  EXPECT_GT(list["downloads"]["bytes"], 10'000'000);
  tell({"cache", "clear"});
  EXPECT_FALSE(std::filesystem::exists(kiln.home() / "cache" / "downloads"));
  EXPECT_EQ(tell({"cache", "list"}).out, "no kept results\n");
}

TEST_F(FromUrl, APipelineNamesItsListsAndItsDigests) {
  write_text(kiln / "SHA256SUMS", hash_file(kiln / "disk.qcow2") + "  disk.qcow2\n");
  kiln.write("web.toml", R"([pipeline]
name = "web"
[[stage]]
use = "import"
url = ")" + server.url("gone/disk.qcow2") +
                             R"("
mirrors = [")" + server.url("disk.qcow2") +
                             R"("]
checksums = "SHA256SUMS"
allow = ["127.0.0.1"]
[[stage]]
use = "write"
file = "out.raw"
)");
  tell({"build", "web.toml"});
  EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "out.raw"));
}

TEST_F(FromUrl, APipeIsAFileToo) {
  kiln.input = kiln / "disk.qcow2";
  tell({"convert", "-", "out.raw"});
  EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "out.raw"));
  tell({"import", "-", "--name", "web", "--sha256", hash_file(kiln / "disk.qcow2")});
  EXPECT_EQ(json::parse(tell({"image", "show", "web", "--json"}).out)["facts"]["source.file"], "stdin");
  const Answer answer = kiln.on_terminal({"import", "-", "--name", "web"});
  EXPECT_EQ(answer.status, 2);
  EXPECT_THAT(answer.out, HasSubstr("the standard input is a terminal"));
}

}  // namespace
}  // namespace kiln::test
