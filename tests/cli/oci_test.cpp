// The way of an image without a network: out as an OCI image layout, copied by skopeo, in again.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "support/disks.h"
#include "support/oci_files.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::MatchesRegex;

class Oci : public testing::Test {
 protected:
  Oci() {
    kiln.raw_disk("disk.raw", 40);
    tell({"import", "disk.raw", "--name", "web", "--version", "1"});
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
  /// skopeo with nothing of the user's, which must succeed.
  void skopeo(const std::string& from, const std::string& to) {
    write_text(kiln / "policy.json", R"({"default":[{"type":"insecureAcceptAnything"}]})");
    const Outcome outcome = run({"skopeo", "--policy", kiln / "policy.json", "--tmpdir", kiln.folder(), "copy",
                                 "oci:" + (kiln / from).string(), "oci:" + (kiln / to).string()});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
  }
  Program kiln;
};

TEST_F(Oci, SkopeoCarriesItAndItIsTheSame) {
  EXPECT_THAT(tell({"image", "export", "web", "--oci", "out"}).out,
              MatchesRegex("out  oci  web:1  [0-9]+ blobs, [0-9]+ new, [0-9.]+ MiB  sha256:[0-9a-f]{64}\n"));
  skopeo("out:web:1", "carried:here");
  EXPECT_EQ(OciFiles(kiln / "out").chunks, OciFiles(kiln / "carried").chunks);
  EXPECT_EQ(OciFiles(kiln / "out").manifest, OciFiles(kiln / "carried").manifest);

  kiln.environment["KILN_HOME"] = (kiln / "other").string();
  EXPECT_THAT(tell({"import", "carried", "--name", "shop", "--version", "5"}).out, HasSubstr("shop:5  40.0 MiB"));
  const json image = ask({"image", "show", "shop"});
  EXPECT_EQ(image["facts"]["source.format"], "oci");
  EXPECT_EQ(image["facts"]["source.tag"], "here");
  EXPECT_EQ(image["facts"]["origin.file"], "disk.raw");
  EXPECT_EQ(image["facts"]["origin.name"], "web");
  tell({"image", "export", "shop", "back.raw"});
  EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "back.raw"));
}

TEST_F(Oci, AnImageIsAddedBesideWhatSkopeoWrote) {
  tell({"image", "export", "web", "--oci", "out"});
  kiln.raw_disk("db.raw", 4, 2);
  tell({"import", "db.raw", "--name", "db", "--version", "1"});
  skopeo("out:web:1", "both:web");
  const json added = ask({"image", "export", "db", "--oci", "both"});
  EXPECT_EQ(added["tag"], "db:1");
  EXPECT_EQ(added["new_blobs"], added["blobs"]);
  const Answer which = kiln({"import", "both", "--name", "x"});
  EXPECT_EQ(which.status, 2);
  EXPECT_THAT(which.err, HasSubstr("say which with its tag: web, db:1"));
  tell({"import", "both", "--name", "x", "--version", "1", "--tag", "db:1"});
  EXPECT_EQ(ask({"image", "show", "x"})["content"], ask({"image", "show", "db"})["content"]);
}

TEST_F(Oci, ATaintedLayoutPublishesNothing) {
  tell({"image", "export", "web", "--oci", "out"});
  const OciFiles files(kiln / "out");
  flip_byte(files.blob(files.manifest["layers"][1]), 1000);
  const Answer answer = kiln({"import", "out", "--name", "bad"});
  EXPECT_EQ(answer.status, 1);
  EXPECT_THAT(answer.err, HasSubstr("is damaged: its sha256 is another"));
  EXPECT_EQ(ask({"image", "list", "bad"})["images"].size(), 0U);
}

TEST_F(Oci, FileAndFolderExcludeEachOther) {
  EXPECT_EQ(kiln({"image", "export", "web"}).status, 2);
  const Answer both = kiln({"image", "export", "web", "f.raw", "--oci", "out"});
  EXPECT_EQ(both.status, 2);
  EXPECT_THAT(both.err, HasSubstr("--oci writes a folder"));
  EXPECT_FALSE(std::filesystem::exists(kiln / "out"));
}

}  // namespace
}  // namespace kiln::test
