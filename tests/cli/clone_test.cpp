// kiln clone and kiln detach, from the command line.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/with_instances.h"
#include "guest/tiny_guest.h"
#include "support/run.h"
#include "support/tiny_image.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Clones : public WithInstances {
 protected:
  std::filesystem::path disk_of(const std::string& name) const { return file_of(name, "disk.qcow2"); }
};

TEST_F(Clones, EachDiskKnowsWhoItIsBeforeItsFirstStart) {
  std::filesystem::create_directories(kiln / "root");
  make_tiny_root(kiln / "root");
  make_tiny_disk(kiln / "tiny.qcow2", kiln / "root", 64u << 20);
  ASSERT_EQ(kiln({"import", "tiny.qcow2", "--name", "tiny"}).status, 0);
  kiln.write("me.pub", "ssh-ed25519 AAAA me\n");
  const json made = ask({"clone", "tiny", "--name", "c-#", "--count", "2", "--ssh-key", "me.pub", "--stopped"});
  ASSERT_EQ(made["instances"].size(), 2u);
  for (const std::string name : {"c-1", "c-2"}) {
    EXPECT_EQ(debugfs(disk_of(name), "cat /etc/hostname"), name + "\n");
    EXPECT_THAT(debugfs(disk_of(name), "cat /root/.ssh/authorized_keys"), HasSubstr("ssh-ed25519 AAAA me"));
    EXPECT_FALSE(std::filesystem::exists(kiln.home() / "instances" / name / "appliance"));
  }
}

TEST_F(Clones, AnImageThatHoldsNoSystemMakesNone) {
  kiln.raw_disk("data.raw");
  ASSERT_EQ(kiln({"import", "data.raw", "--name", "data"}).status, 0);
  const Answer refused = kiln({"clone", "data", "--stopped"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("the image holds no Linux that could be given an identity"));
  EXPECT_TRUE(ask({"ps"})["instances"].empty());
}

TEST_F(Clones, ADetachedInstanceOutlivesItsImage) {
  qemu_to_raw(tiny_image("stay"), "qcow2", kiln / "tiny.raw");
  ASSERT_EQ(kiln({"import", "tiny.raw", "--name", "tiny"}).status, 0);
  const json launched = ask({"launch", "tiny", "--name", "one", "--memory", "64M", "--cpus", "1", "--accel", "tcg"});
  EXPECT_NE(kiln({"image", "rm", "tiny"}).status, 0);
  EXPECT_EQ(ask({"detach", "one"}), json({{"name", "one"}, {"image", launched["image"]}, {"detached", true}}));
  EXPECT_EQ(ask({"detach", "one"})["detached"], false) << "it is already";
  EXPECT_EQ(kiln({"image", "rm", "tiny"}).status, 0);
  EXPECT_EQ(ask({"restart", "one", "--timeout", "1s", "--accel", "tcg"})["started"], true);
  const json listed = ask({"ps"})["instances"][0];
  EXPECT_EQ(listed["detached"], true);
  EXPECT_EQ(listed["image"], launched["image"]) << "it is still known where it came from";
}

}  // namespace
}  // namespace kiln::test
