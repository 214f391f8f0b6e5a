#include <gmock/gmock.h>

#include "guest/stage_context.h"
#include "guest/tiny_guest.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::ElementsAre;

const Stage& resize() {
  return test::load_stage("resize");
}

TEST(ResizeCheck, WantsWholeSectorsAndAPartitionNumber) {
  EXPECT_THAT(test::problems_of(resize(), {{"size", Value{std::string("20G")}}}), ElementsAre());
  EXPECT_THAT(test::problems_of(resize(), {{"size", Value{std::int64_t{1000}}}}),
              ElementsAre("size: \"size\" must be a multiple of 512 bytes"));
  EXPECT_THAT(test::problems_of(resize(), {{"size", Value{std::string("1G")}}, {"partition", Value{std::int64_t{0}}}}),
              ElementsAre("partition: \"partition\" must be a number from 1 to 128"));
}

TEST(ResizeCheck, RefusesToShrinkBeforeAnythingStarts) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "a.qcow2", "2G"});
  test::StageContext context(dir / "a.qcow2", dir.path());
  try {
    context.run(resize(), {{"size", Value{std::string("1G")}}});
    FAIL() << "it shrank";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the disk has 2.0 GiB and would become smaller: 1.0 GiB");
    EXPECT_EQ(error.hint(), "kiln only grows disks; shrink the file system and the partitions inside the guest first");
  }
  EXPECT_EQ(context.disk_size(), 2ull << 30);
}

}  // namespace
}  // namespace kiln
