#include <gmock/gmock.h>

#include <kiln/testing.h>

#include "support/plugins.h"
#include "support/temp.h"
#include "support/values.h"

namespace kiln {
namespace {

using test::text;
using testing::ElementsAre;
using testing::IsEmpty;

class BootStage : public testing::Test {
 protected:
  void SetUp() override {
    write_text(dir_ / "disk", "the disk");
    ctx_.file = {dir_ / "disk", "qcow2"};
    ctx_.fake_machines.report = {Duration(33'000), "tcg", "web login:"};
  }
  test::TempDir dir_;
  fakes::FakeContext ctx_;
  const Stage& stage_ = test::load_stage("boot");
};

TEST_F(BootStage, BootsTheDiskAndSaysWhatItSaw) {
  stage_.run_with(ctx_, {});
  EXPECT_EQ(ctx_.summed_up, "\"login:\" after 33.0 s, image unchanged");
  ASSERT_EQ(ctx_.fake_machines.boots.size(), 1u);
  const BootSpec& spec = ctx_.fake_machines.boots[0];
  EXPECT_EQ(spec.disk, dir_ / "disk");
  EXPECT_EQ(spec.format, "qcow2");
  EXPECT_EQ(spec.expect, "login:");
  EXPECT_EQ(spec.firmware, Firmware::bios);
  EXPECT_EQ(spec.memory, Bytes{1u << 30});
  EXPECT_EQ(ctx_.known_facts.at("boot.checked"), "\"login:\"");
}

TEST_F(BootStage, TakesTheFirmwareOfTheDisk) {
  ctx_.known_facts["boot.firmware"] = "uefi";
  stage_.run_with(ctx_, {});
  EXPECT_EQ(ctx_.fake_machines.boots.back().firmware, Firmware::uefi);
  stage_.run_with(ctx_, {{"firmware", text("bios")}});
  EXPECT_EQ(ctx_.fake_machines.boots.back().firmware, Firmware::bios);
  ctx_.known_facts["boot.firmware"] = "bios,uefi";
  stage_.run_with(ctx_, {});
  EXPECT_EQ(ctx_.fake_machines.boots.back().firmware, Firmware::bios);
  stage_.run_with(ctx_, {{"firmware", text("uefi")}});
  EXPECT_EQ(ctx_.fake_machines.boots.back().firmware, Firmware::uefi);
}

TEST_F(BootStage, WaitsForTheAgentToo) {
  stage_.run_with(ctx_, {{"agent", Value{true}}});
  EXPECT_EQ(ctx_.summed_up, "\"login:\" and guest agent after 33.0 s, image unchanged");
  stage_.run_with(ctx_, {{"agent", Value{true}}, {"expect", text("")}});
  EXPECT_EQ(ctx_.summed_up, "guest agent after 33.0 s, image unchanged");
}

TEST_F(BootStage, ABootThatWritesToTheDiskFails) {
  ctx_.fake_machines.on_boot = [](const BootSpec& spec) { write_text(spec.disk, "the disc"); };
  try {
    stage_.run_with(ctx_, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the disk changed while it was booted");
    EXPECT_THAT(e.evidence(), ElementsAre((dir_ / "disk").string()));
  }
  EXPECT_EQ(ctx_.summed_up, "");
}

TEST_F(BootStage, ABootThatFailsIsTheMachinesError) {
  ctx_.fake_machines.failure = Error("the kernel panicked (3.1 s after start)");
  EXPECT_THROW(stage_.run_with(ctx_, {}), Error);
}

TEST_F(BootStage, ChecksItsParameters) {
  EXPECT_THAT(test::problems_of(stage_, {}), IsEmpty());
  EXPECT_THAT(test::problems_of(stage_, {{"expect", text("")}}), ElementsAre("expect: there is nothing to wait for"));
  EXPECT_THAT(test::problems_of(stage_, {{"expect", text("a\nb")}}),
              ElementsAre("expect: \"expect\" must be a single line"));
  EXPECT_THAT(
      test::problems_of(
          stage_, {{"memory", Value{Bytes{1024}}}, {"cpus", Value{std::int64_t{0}}}, {"timeout", Value{Duration(0)}}}),
      ElementsAre("timeout: \"timeout\" must be longer than nothing",
                  "memory: a machine needs at least 32 MiB of memory",
                  "cpus: \"cpus\" must be a number from 1 to 255"));
}

}  // namespace
}  // namespace kiln
