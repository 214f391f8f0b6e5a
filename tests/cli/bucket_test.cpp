// A bucket as a region, from the command line.
#include <filesystem>

#include "cli/accounts.h"
#include "support/rgw.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

class Bucket : public Accounts {};

TEST_F(Bucket, IsARegion) {
  const std::string url = ObjectStore::shared().new_bucket(), key = kiln.write("key", "KILNSECRET\n");
  std::filesystem::permissions(key, std::filesystem::perms::owner_read);
  kiln.write("home/config.toml", "[region.far]\nbucket = \"" + url +
                                     "\"\naccess_key = \"KILNACCESS\"\nsecret_key_file = \"" + key + "\"\n");
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

}  // namespace
}  // namespace kiln::test
