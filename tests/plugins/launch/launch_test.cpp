#include <gmock/gmock.h>

#include <kiln/testing.h>

#include "support/plugins.h"
#include "support/temp.h"
#include "support/values.h"

namespace kiln {
namespace {

using test::text;
using test::texts;
using testing::ElementsAre;
using testing::IsEmpty;

class LaunchStage : public testing::Test {
 protected:
  test::TempDir dir_;
  fakes::FakeContext ctx_;
  const Stage& stage_ = test::load_stage("launch");
};

TEST_F(LaunchStage, StartsWhatWasPublished) {
  ctx_.known_facts["image.reference"] = "web:1";
  write_text(dir_ / "me.pub", "# mine\nssh-ed25519 BBBB me\n\n");
  stage_.run_with(ctx_, {{"ports", texts({"2222:22", "8080:80"})},
                         {"ssh_keys", texts({"ssh-ed25519 AAAA you"})},
                         {"ssh_key_files", Value{List{Value{InputPath{dir_ / "me.pub"}}}}}});
  ASSERT_EQ(ctx_.fake_machines.launches.size(), 1u);
  const LaunchSpec& spec = ctx_.fake_machines.launches[0];
  EXPECT_EQ(spec.image, "web:1");
  ASSERT_EQ(spec.ports.size(), 2u);
  EXPECT_EQ(spec.ports[1].host, 8080);
  EXPECT_EQ(spec.ports[1].guest, 80);
  EXPECT_THAT(spec.ssh_keys, ElementsAre("ssh-ed25519 AAAA you", "ssh-ed25519 BBBB me"));
  EXPECT_EQ(ctx_.summed_up, "instance instance of web:1, pid 1");
  EXPECT_EQ(ctx_.known_facts.at("instance.name"), "instance");
}

TEST_F(LaunchStage, StartsSeveral) {
  ctx_.fake_machines.launched.instances = {{"w-1", "serial.log", 7}, {"w-2", "two.log", 8}};
  stage_.run_with(ctx_, {{"image", text("web:1")}, {"count", Value{std::int64_t{2}}}, {"ports", texts({"auto:22"})}});
  EXPECT_EQ(ctx_.fake_machines.launches[0].count, 2u);
  EXPECT_EQ(ctx_.fake_machines.launches[0].ports[0].host, 0);
  EXPECT_EQ(ctx_.summed_up, "instance w-1 and 1 more of web:1, pid 7");
}

TEST_F(LaunchStage, NamesItsImageOrSaysThatThereIsNone) {
  stage_.run_with(ctx_, {{"image", text("other")}});
  EXPECT_EQ(ctx_.fake_machines.launches[0].image, "other");
  try {
    stage_.run_with(ctx_, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "there is no image to launch");
    EXPECT_EQ(e.hint(), "put a publish stage before launch, or give image = \"NAME\"");
  }
}

TEST_F(LaunchStage, PassesOnWhatIsToBeSaidOfTheImage) {
  ctx_.fake_machines.launched.warnings = {"allowed by no rule"};
  stage_.run_with(ctx_, {{"image", text("other")}});
  EXPECT_THAT(ctx_.warnings, ElementsAre("allowed by no rule"));
}

TEST_F(LaunchStage, IsDoneWhileItsInstanceIsThere) {
  write_text(dir_ / "serial.log", "");
  const Facts made{{"instance.serial_log", (dir_ / "serial.log").string()}};
  EXPECT_TRUE(stage_.still_there_with({}, made, ctx_.fake_catalog));
  std::filesystem::remove(dir_ / "serial.log");
  EXPECT_FALSE(stage_.still_there_with({}, made, ctx_.fake_catalog));
  EXPECT_FALSE(stage_.still_there_with({}, {}, ctx_.fake_catalog));
}

TEST_F(LaunchStage, ChecksItsParameters) {
  EXPECT_THAT(test::problems_of(stage_, {}), IsEmpty());
  EXPECT_THAT(
      test::problems_of(stage_, {{"ports", texts({"2222:22", "22", "a:1", "70000:1", "0:1", "1:2:3"})}}),
      ElementsAre("ports[1]: \"22\" is no HOST:GUEST pair of ports", "ports[2]: \"a:1\" is no HOST:GUEST pair of ports",
                  "ports[3]: \"70000:1\" is no HOST:GUEST pair of ports",
                  "ports[4]: \"0:1\" is no HOST:GUEST pair of ports",
                  "ports[5]: \"1:2:3\" is no HOST:GUEST pair of ports"));
  EXPECT_THAT(
      test::problems_of(stage_, {{"ssh_keys", texts({"ssh-rsa A"})}, {"user_data", Value{InputPath{dir_ / "u"}}}}),
      ElementsAre("user_data: \"user_data\" replaces the ssh keys"));
}

}  // namespace
}  // namespace kiln
