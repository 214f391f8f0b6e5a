// kiln inspect of everything that import takes, and the options that put preflight into an import.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include <kiln/file.h>

#include "cli/program.h"
#include "plugins/import/package/packages.h"
#include "support/disks.h"
#include "support/file_server.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Inspect : public testing::Test {
 protected:
  Inspect() {
    kiln.raw_disk("disk.raw", 4);
    qemu_from_raw(kiln / "disk.raw", kiln / "disk.qcow2", "qcow2");
    plain = ask({"inspect", "disk.qcow2", "--digest"});
  }
  Answer tell(const std::vector<std::string>& words) {
    Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    return answer;
  }
  json ask(std::vector<std::string> words) {
    words.push_back("--json");
    return json::parse(tell(words).out);
  }
  /// Nothing was published, stored or left.
  void nothing_is_kept() {
    EXPECT_THAT(files_below(kiln.home(), {"layers/.lock", "cache/", "host", "catalog/"}), ElementsAre());
    EXPECT_EQ(ask({"image", "list"})["images"].size(), 0u);
  }

  Program kiln;
  json plain;
};

TEST_F(Inspect, APlainDiskIsToldByItsContainer) {
  EXPECT_EQ(plain["format"], "qcow2");
  EXPECT_EQ(plain["details"]["cluster_size"], "65536");
  EXPECT_EQ(plain["disks"].size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(kiln.home())) << "a look at a file needs no home";
}

TEST_F(Inspect, WhatIsCompressed) {
  ASSERT_EQ(run({"sh", "-c", "gzip -k \"$0\" && zstd -q \"$0\"", (kiln / "disk.qcow2").string()}).status, 0);
  for (const char* name : {"gz", "zst"}) {
    const json answer = ask({"inspect", std::string("disk.qcow2.") + name, "--digest"});
    EXPECT_EQ(answer["format"], "qcow2");
    EXPECT_EQ(answer["virtual_size"], 4 << 20);
    EXPECT_EQ(answer["content"], plain["content"]);
    EXPECT_EQ(answer["file_size"], std::filesystem::file_size(kiln / (std::string("disk.qcow2.") + name)));
  }
  EXPECT_THAT(tell({"inspect", "disk.qcow2.gz"}).out,
              AllOf(StartsWith("format        qcow2\nvirtual size  4.0 MiB (4194304 bytes)\n"),
                    HasSubstr("source.compression  gzip\n")));
  nothing_is_kept();
}

TEST_F(Inspect, APackageOfTwoDisks) {
  kiln.raw_disk("data.raw", 8, 2);
  qemu_from_raw(kiln / "data.raw", kiln / "data.qcow2", "qcow2");
  const std::string qcow2 = "http://www.gnome.org/~markmc/qcow-image-format.html";
  const std::string ovf = ovf_of({{"disk.qcow2", "d1", std::to_string(4 << 20), qcow2},
                                  {"data.qcow2", "d2", std::to_string(8 << 20), qcow2, "3", "1"}});
  write_text(kiln / "two.ova", tar_of({{"web.ovf", ovf},
                                       {"disk.qcow2", read_text(kiln / "disk.qcow2")},
                                       {"data.qcow2", read_text(kiln / "data.qcow2")}}));
  const json answer = ask({"inspect", "two.ova", "--digest"});
  EXPECT_EQ(answer["format"], "ova");
  EXPECT_EQ(answer["content"], plain["content"]);
  ASSERT_EQ(answer["disks"].size(), 2u);
  EXPECT_EQ(answer["disks"][1]["virtual_size"], 8 << 20);
  EXPECT_FALSE(std::filesystem::exists(kiln.home() / "catalog")) << "the second disk was not stored";
}

TEST_F(Inspect, TheStandardInput) {
  kiln.input = kiln / "disk.qcow2";
  EXPECT_EQ(ask({"inspect", "-", "--digest"})["content"], plain["content"]);
  nothing_is_kept();
  const Answer answer = kiln({"inspect", "-", "--profile", "none"});
  EXPECT_EQ(answer.status, 2);
  EXPECT_THAT(answer.err, StartsWith("error: the standard input can be read only once"));
}

TEST_F(Inspect, AnImageLayout) {
  tell({"import", "disk.raw", "--name", "web", "--version", "1"});
  tell({"image", "export", "web", "--oci", "out"});
  const json answer = ask({"inspect", "out", "--digest"});
  EXPECT_EQ(answer["format"], "oci");
  EXPECT_EQ(answer["content"], plain["content"]);
  EXPECT_EQ(ask({"inspect", "out", "--tag", "web:1"})["virtual_size"], 4 << 20);
}

TEST_F(Inspect, AUrl) {
  FileServer server;
  server.put("disk.qcow2", read_text(kiln / "disk.qcow2"));
  const json answer = ask({"inspect", server.url("disk.qcow2"), "--allow", "127.0.0.1", "--digest"});
  EXPECT_EQ(answer["content"], plain["content"]);
  const Answer refused = kiln({"inspect", server.url("disk.qcow2"), "--json"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_EQ(json::parse(refused.out)["error"]["code"], "PrivateAddress");
}

TEST_F(Inspect, WhatIsNothing) {
  std::filesystem::create_directory(kiln / "folder");
  EXPECT_EQ(json::parse(kiln({"inspect", "folder", "--json"}).out)["error"]["code"], "NotAFile");
  kiln.write("notes.txt", std::string(5000, 'x'));
  const Answer answer = kiln({"inspect", "notes.txt", "--json"});
  EXPECT_NE(answer.status, 0);
  EXPECT_EQ(json::parse(answer.out)["error"]["code"], "UnknownFormat");
  const Answer wrong = kiln({"inspect", "disk.qcow2", "--sha256", std::string(64, '0'), "--json"});
  EXPECT_EQ(json::parse(wrong.out)["error"]["code"], "HashMismatch");
}

TEST_F(Inspect, NeedsAProfileThatIsThere) {
  for (const char* verb : {"inspect", "import"}) {
    std::vector<std::string> words{verb, "disk.qcow2", "--profile", "tencnt"};
    if (std::string(verb) == "import") words.insert(words.end(), {"--name", "web"});
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 2) << verb;
    EXPECT_THAT(answer.err, AllOf(HasSubstr("there is no profile \"tencnt\""),
                                  HasSubstr("did you mean \"tencent\"? there are aws, glance, none, tencent")));
  }
  kiln.write("mine.toml", "[limits]\nsize = 5\n");
  EXPECT_THAT(kiln({"import", "disk.qcow2", "--name", "web", "--profile", "./mine.toml"}).err,
              HasSubstr("mine.toml:2: a profile has no key \"limits.size\""));
  kiln.write("web.toml",
             "[pipeline]\nname = \"web\"\n[[stage]]\nuse = \"import\"\nfile = \"disk.qcow2\"\n"
             "[[stage]]\nuse = \"preflight\"\nprofile = \"nope\"\n");
  EXPECT_THAT(kiln({"check", "web.toml"}).err, HasSubstr("there is no profile \"nope\""));
}

}  // namespace
}  // namespace kiln::test
