// kiln image diff with a real appliance: two tiny guests, and a disk without any.
#include <gmock/gmock.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "guest/tiny_guest.h"

namespace kiln::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

void put(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

std::string package(const std::string& name, const std::string& version) {
  return "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n\n";
}

class Diff : public testing::Test {
 protected:
  /// The guest that both have in common.
  fs::path tree(const std::string& name) {
    const fs::path root = kiln / name;
    fs::create_directories(root);
    make_tiny_root(root);
    put(root / "etc/motd", "one\ntwo\nthree\n");
    put(root / "srv/data", std::string(100'000, 'x'));
    put(root / "srv/gone", "bye");
    put(root / "var/lib/dpkg/status", package("openssl", "3.0.14-1") + package("gone", "1.0"));
    return root;
  }
  void import(const std::string& name, const fs::path& root) {
    make_tiny_disk(kiln / (name + ".qcow2"), root, 24u << 20);
    const Answer answer = kiln({"import", name + ".qcow2", "--name", name, "--version", "1"});
    ASSERT_EQ(answer.status, 0) << answer.err;
  }
  /// A list's names, or whatever `key` is of each item.
  static std::vector<std::string> names(const json& part, const char* key) {
    std::vector<std::string> all;
    for (const json& item : part["list"]) all.push_back(item[key]);
    return all;
  }
  Program kiln;
};

TEST_F(Diff, SaysWhatDiffersToTheLine) {
  import("a", tree("tree-a"));
  const fs::path b = tree("tree-b");
  put(b / "etc/motd", "one\n2\nthree\n");
  put(b / "etc/shadow", "root:secret:19000:0:99999:7:::\n");
  fs::permissions(b / "etc/shadow", fs::perms(0600));
  std::string data(100'000, 'x');
  data[5000] = 'y';
  put(b / "srv/data", data);
  fs::remove(b / "srv/gone");
  put(b / "srv/\x1b[2Jnew", "hello");
  fs::permissions(b / "etc/hosts", fs::perms(0640));
  fs::create_directories(b / "lib/modules/6.1.0-2");
  put(b / "var/lib/dpkg/status", package("openssl", "3.0.15-1") + package("fresh", "2:1.0"));
  import("b", b);

  const Answer answer = kiln({"image", "diff", "a", "b", "--json", "--accel", "tcg"});
  ASSERT_EQ(answer.status, 0) << answer.err;
  const json diff = json::parse(answer.out);
  EXPECT_EQ(diff["same_content"], false);
  EXPECT_GT(diff["chunks"]["differ"], 0);
  EXPECT_EQ(diff["same_boot_code"], true);
  EXPECT_THAT(names(diff["packages"], "name"), ElementsAre("fresh", "gone", "openssl"));
  EXPECT_EQ(diff["packages"]["list"][0]["b"], "2:1.0");
  EXPECT_EQ(diff["packages"]["list"][1]["b"], nullptr);
  EXPECT_EQ(diff["packages"]["list"][2]["a"], "3.0.14-1");
  EXPECT_THAT(names(diff["kernels"], "name"), ElementsAre("6.1.0-2"));
  EXPECT_THAT(names(diff["files"]["added"], "path"),
              testing::IsSupersetOf({"/srv/\\x1b[2Jnew", "/lib/modules/6.1.0-2"}));
  EXPECT_THAT(names(diff["files"]["removed"], "path"), ElementsAre("/srv/gone"));
  EXPECT_THAT(names(diff["files"]["changed"], "path"),
              ElementsAre("/etc/hosts", "/etc/motd", "/etc/shadow", "/srv/data", "/var/lib/dpkg/status"));
  const json& changed = diff["files"]["changed"]["list"];
  EXPECT_EQ(changed[0]["what"], json::parse(R"(["mode"])"));
  EXPECT_EQ(changed[0]["b"]["mode"], "-rw-r-----");
  EXPECT_EQ(changed[3]["what"], json::parse(R"(["content"])"));
  EXPECT_EQ(changed[3]["bytes"], 4096) << "the block in which one byte differs";
  ASSERT_EQ(diff["configuration"]["count"], 2);
  EXPECT_EQ(diff["configuration"]["list"][0]["diff"],
            json::parse(R"(["--- a/etc/motd","+++ b/etc/motd","@@ -1,3 +1,3 @@"," one","-two","+2"," three"])"));
  EXPECT_EQ(diff["configuration"]["list"][1]["path"], "/etc/shadow");
  EXPECT_EQ(diff["configuration"]["list"][1]["diff"], nullptr);
  EXPECT_THAT(answer.out, Not(HasSubstr("secret")));

  EXPECT_TRUE(kiln.processes_end());
  EXPECT_TRUE(files_below(kiln.home() / "bases", {".lock"}).empty());
  EXPECT_TRUE(files_below(kiln.home() / "layers", {".lock", ".names"}).empty());
}

TEST_F(Diff, ADiskWithoutASystemIsToldAndTheListsAreBounded) {
  import("a", tree("tree-a"));
  kiln.raw_disk("data.raw");
  ASSERT_EQ(kiln({"import", "data.raw", "--name", "data", "--version", "1"}).status, 0);
  const Answer answer = kiln({"image", "diff", "a", "data", "--limit", "1", "--accel", "tcg"});
  ASSERT_EQ(answer.status, 0) << answer.err;
  EXPECT_THAT(answer.out, HasSubstr("a:1 → data:1  "));
  EXPECT_THAT(answer.out, HasSubstr("disk  24.0 MiB → 4.0 MiB\n"));
  EXPECT_THAT(answer.out, HasSubstr("packages  2 differ\n  - gone 1.0\n  … and 1 more; see them with --limit 2\n"));
  EXPECT_THAT(answer.out, HasSubstr("note: data:1: no operating system was found\n"));
}

}  // namespace
}  // namespace kiln::test
