// A machine of libvirt's that is shut off, as a source. That its disks are read is for the tests of core/libvirt.
#include <gmock/gmock.h>

#include <kiln/testing.h>

#include "support/plugins.h"

namespace kiln {
namespace {

using testing::HasSubstr;

const Stage& import_stage() {
  return test::load_stage("import");
}

Value text(const std::string& s) {
  return Value{s};
}

TEST(ImportDomain, TakesAllDisksOfAMachineThatIsShutOff) {
  fakes::FakeContext ctx;
  const auto system = std::make_shared<fakes::MemoryDisk>("system", chunk_size);
  ctx.fake_machines.captured = {
      .drives = {{"vda", "", system}, {"vdb", part_role::data, std::make_shared<fakes::MemoryDisk>("data", 512)}},
      .facts = {{"machine.cpus", "4"}},
      .warnings = {"a warning"}};
  import_stage().run_with(ctx, {{"domain", text("web")}, {"connect", text("qemu:///system")}});
  ASSERT_EQ(ctx.fake_machines.captures.size(), 1u);
  const CaptureSpec& spec = ctx.fake_machines.captures.front();
  EXPECT_EQ(spec.domain, "web");
  EXPECT_EQ(spec.connect, "qemu:///system");
  EXPECT_EQ(spec.least, Consistency::stopped);  // one that runs is refused
  EXPECT_EQ(ctx.produced, system);
  ASSERT_EQ(ctx.known_parts.size(), 1u);
  EXPECT_EQ(ctx.known_parts.front().name, "vdb");
  EXPECT_EQ(ctx.known_facts.at("machine.cpus"), "4");
  EXPECT_EQ(ctx.known_facts.at("source.format"), "domain");
  EXPECT_EQ(ctx.warnings, std::vector<std::string>{"a warning"});
}

TEST(ImportDomain, GoesWithNoFile) {
  EXPECT_TRUE(test::problems_of(import_stage(), {{"domain", text("web")}}).empty());
  EXPECT_THAT(test::problems_of(import_stage(), {{"domain", text("web")}, {"url", text("https://a/b")}}),
              testing::ElementsAre(HasSubstr("\"url\" does not go with \"domain\"")));
  EXPECT_THAT(test::problems_of(import_stage(), {{"connect", text("qemu:///system")}, {"url", text("https://a/b")}}),
              testing::ElementsAre(HasSubstr("\"connect\" goes with \"domain\"")));
}

TEST(ImportDomain, IsReadAnewByEveryKiln) {
  EXPECT_FALSE(import_stage().fingerprint_with({{"domain", text("web")}}).empty());
}

}  // namespace
}  // namespace kiln
