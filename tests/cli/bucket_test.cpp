// A bucket as a region, from the command line.
#include <chrono>
#include <filesystem>
#include <thread>

#include "cli/accounts.h"
#include "support/rgw.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

/// Region "far" is a bucket of its own.
class Bucket : public Accounts {
 protected:
  Bucket() {
    const std::string key = kiln.write("key", "KILNSECRET\n");
    std::filesystem::permissions(key, std::filesystem::perms::owner_read);
    kiln.write("home/config.toml", "[region.far]\nbucket = \"" + url +
                                       "\"\naccess_key = \"KILNACCESS\"\nsecret_key_file = \"" + key + "\"\n");
  }
  std::string url = ObjectStore::shared().new_bucket();
};

TEST_F(Bucket, IsARegion) {
  EXPECT_GT(ask("alice", {"image", "copy", "web", "--to", "far"})["copies"][0]["chunks_moved"], 0);
  EXPECT_THAT(images("alice", {"--region", "far"}), ElementsAre("alice/web:1"));
  EXPECT_THAT(images("bob", {"--region", "far"}), testing::IsEmpty());
  ask("alice", {"image", "rm", "web", "--now"});
  ask("alice", {"image", "copy", "web:1", "--from", "far", "--to", "local"});
  EXPECT_EQ(ask("alice", {"image", "verify", "web"})["ok"], true);

  kiln.environment["AWS_ACCESS_KEY_ID"] = "KILNACCESS";
  kiln.environment["AWS_SECRET_ACCESS_KEY"] = "wrong";
  kiln.write("home/config.toml", "[region.far]\nbucket = \"" + url + "\"\n");
  EXPECT_THAT(refuse("alice", {"image", "list", "--region", "far"}, 3),
              StartsWith("error: the object store refuses access to bucket " + url + "\n"));
  kiln.environment["AWS_SECRET_ACCESS_KEY"] = "KILNSECRET";
  EXPECT_THAT(images("alice", {"--region", "far"}), ElementsAre("alice/web:1"));
}

TEST_F(Bucket, AnImageIsRemovedFromItForGood) {
  ask("alice", {"image", "copy", "web", "--to", "far"});
  EXPECT_THAT(refuse("bob", {"image", "rm", "alice/web:1", "--region", "far"}, 2),
              StartsWith("error: there is no image \"alice/web:1\" in region \"far\"\n"));
  EXPECT_THAT(refuse("alice", {"image", "rm", "web:1", "--region", "far", "--for", "3d"}, 2),
              StartsWith("error: region far is a bucket, which has no trash\n"));
  EXPECT_EQ(tell("alice", {"image", "rm", "web:1", "--region", "far"}),
            "removed alice/web:1 from far for good: a bucket has no trash; kiln gc --region far frees its space\n");
  EXPECT_THAT(images("alice", {"--region", "far"}), testing::IsEmpty());
  EXPECT_THAT(images("alice"), ElementsAre("alice/web:1"));
  ask("alice", {"image", "copy", "web", "--to", "far"});
  const auto answer = ask("alice", {"image", "rm", "web:1", "--region", "far", "--now"});
  EXPECT_EQ(answer["removed"], "web:1");
  EXPECT_EQ(answer["region"], "far");
  EXPECT_THAT(refuse("alice", {"image", "restore", "web:1", "--region", "far"}, 2),
              StartsWith("error: region far is a bucket, which has no trash\n"));
}

TEST_F(Bucket, IsMetered) {
  ask("alice", {"image", "copy", "web", "--to", "far"});
  std::this_thread::sleep_for(std::chrono::seconds(2));
  ask("alice", {"image", "rm", "web", "--region", "far"});
  for (const char* account : {"alice", ""}) {
    const auto rows = ask(account, {"usage"})["usage"];
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0]["owner"], "alice");
    EXPECT_EQ(rows[0]["region"], "far");
    EXPECT_GT(rows[0]["unique_byte_hours"], 0);
    EXPECT_GT(rows[0]["logical_byte_hours"], 0);
    EXPECT_EQ(rows[1]["region"], "local");
    EXPECT_EQ(ask(account, {"usage", "--region", "far"})["usage"].size(), 1U);
  }
  EXPECT_EQ(ask("bob", {"usage"})["usage"].size(), 0U);
  EXPECT_THAT(refuse("alice", {"usage", "--region", "fat"}, 2), StartsWith("error: there is no region \"fat\"\n"));
}

TEST_F(Bucket, IsCollected) {
  ask("alice", {"image", "copy", "web", "--to", "far"});
  EXPECT_EQ(tell("", {"gc", "--region", "far"}), "nothing to collect\n");
  ask("alice", {"image", "rm", "web", "--region", "far"});
  EXPECT_THAT(refuse("alice", {"gc", "--region", "far"}, 3),
              StartsWith("error: only the catalog's operator may collect region \"far\"\n"));
  const auto would = ask("", {"gc", "--region", "far", "--dry-run"});
  const auto did = ask("", {"gc", "--region", "far"});
  EXPECT_GT(did["freed_bytes"], 0);
  EXPECT_EQ(would["freed_bytes"], did["freed_bytes"]);
  EXPECT_EQ(did["items"].at(1)["kind"], "chunks");
  EXPECT_EQ(tell("", {"gc", "--region", "far"}), "nothing to collect\n");
}

}  // namespace
}  // namespace kiln::test
