#include <gtest/gtest.h>

#include <kiln/testing.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/temp.h"

namespace kiln {
namespace {

using fakes::FakeCheck;
using fakes::FakeContext;

const Stage& capture_stage() {
  return test::load_stage("capture");
}

class CaptureStage : public ::testing::Test {
 protected:
  CaptureStage() {
    test::write_raw(dir_ / "a", {"a", 1u << 20, {{0, 65536}}});
    ctx.fake_machines.captured.drives = {{"disk0", "", std::make_shared<test::RawDisk>(dir_ / "a")}};
    ctx.fake_machines.captured.facts = {{"capture.instance", "web-1"}, {"capture.consistency", "quiesced"}};
  }
  std::size_t problems_of(const Table& params) const {
    FakeCheck check(ctx.fake_formats);
    capture_stage().check_with(params, check);
    return check.problems.size();
  }
  test::TempDir dir_;
  FakeContext ctx;
};

TEST_F(CaptureStage, GivesTheDiskAndWhatIsKnownOfTheMachine) {
  ctx.fake_machines.captured.warnings = {"no guest agent answers"};
  capture_stage().run_with(ctx, {{"instance", Value{std::string("web-1")}},
                                 {"require", Value{std::string("quiesced")}},
                                 {"freeze_limit", Value{Duration(2000)}}});
  ASSERT_EQ(ctx.fake_machines.captures.size(), 1u);
  const CaptureSpec& spec = ctx.fake_machines.captures.front();
  EXPECT_EQ(spec.instance, "web-1");
  EXPECT_EQ(spec.least, Consistency::quiesced);
  EXPECT_EQ(spec.freeze_limit, Duration(2000));
  EXPECT_EQ(ctx.produced, ctx.fake_machines.captured.drives.front().disk);
  EXPECT_EQ(ctx.known_facts.at("source.kind"), "capture");
  EXPECT_EQ(ctx.known_facts.at("capture.consistency"), "quiesced");
  EXPECT_EQ(ctx.known_facts.at("disk.layout"), "none");
  EXPECT_EQ(ctx.summed_up, "web-1, quiesced, 1.0 MiB");
  EXPECT_EQ(ctx.warnings.front(), "no guest agent answers");
}

TEST_F(CaptureStage, StoresWhatTheMachineHasBesideItsSystemDisk) {
  test::write_raw(dir_ / "b", {"b", 2u << 20, {{65536, 65536}}});
  test::write_raw(dir_ / "v", {"v", 540u << 10, {{0, 1024}}});
  auto& drives = ctx.fake_machines.captured.drives;
  drives.push_back({"disk1", part_role::data, std::make_shared<test::RawDisk>(dir_ / "b")});
  drives.push_back({"vars", part_role::firmware, std::make_shared<test::RawDisk>(dir_ / "v")});
  capture_stage().run_with(ctx, {{"instance", Value{std::string("web-1")}}});
  EXPECT_EQ(ctx.produced, drives.front().disk);
  ASSERT_EQ(ctx.known_parts.size(), 2u);
  EXPECT_EQ(ctx.known_parts[0].role, "data");
  EXPECT_EQ(ctx.known_parts[0].name, "disk1");
  EXPECT_EQ(ctx.known_parts[0].disk->virtual_size(), 2u << 20);
  EXPECT_EQ(ctx.known_parts[1].role, "firmware");
  EXPECT_EQ(ctx.known_parts[1].name, "vars");
  EXPECT_EQ(ctx.summed_up, "web-1, quiesced, 3.5 MiB, with 2 parts");
}

TEST_F(CaptureStage, TakesOneMachine) {
  const Value web{std::string("web-1")}, socket{std::filesystem::path("/run/q.sock")};
  EXPECT_EQ(problems_of({{"instance", web}}), 0u);
  EXPECT_EQ(problems_of({{"qmp", socket}, {"agent", socket}}), 0u);
  EXPECT_EQ(problems_of({}), 1u);
  EXPECT_EQ(problems_of({{"instance", web}, {"qmp", socket}}), 1u);
  EXPECT_EQ(problems_of({{"instance", web}, {"agent", socket}}), 1u);
  EXPECT_EQ(problems_of({{"instance", web}, {"freeze_limit", Value{Duration(0)}}}), 1u);
  EXPECT_EQ(problems_of({{"instance", web}, {"freeze_limit", Value{Duration(3600000)}}}), 1u);
}

}  // namespace
}  // namespace kiln
