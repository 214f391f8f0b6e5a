// Streamed by a real QEMU, and by a real qemu-storage-daemon; qemu-img says what came of it.
#include "machine/detach.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "machine/qemu.h"
#include "support/disk_size.h"
#include "support/run.h"
#include "support/temp.h"
#include "support/tiny_image.h"

namespace kiln {
namespace {

using testing::HasSubstr;
const Accelerator tcg{"tcg", ""};

class Detach : public testing::Test {
 protected:
  ~Detach() override {
    for (const Instance& i : instances_.list()) instances_.remove(i.name, true);
  }

  Instance launch(bool stopped) {
    // A copy, so that it can be taken away.
    std::filesystem::copy_file(test::tiny_image("stay"), base_);
    LaunchSpec spec;
    spec.name = "one";
    spec.memory = Bytes{128u << 20};
    spec.cpus = 1;
    spec.stopped = stopped;
    const LaunchBase base{.disk = {base_, "qcow2"},
                          .image_id = "img-1",
                          .image = "tiny:1",
                          .name = "tiny",
                          .size = test::disk_size(base_)};
    instances_.launch(base, spec, tcg);
    return instances_.get("one");
  }
  std::string backing_of(const Instance& instance) {
    const auto info = nlohmann::json::parse(
        test::qemu_img({"info", "-U", "--output=json", "-f", "qcow2", instance.folder / machine_file::disk}));
    return info.value("backing-filename", "");
  }
  void expect_stands_alone() {
    Instance instance = instances_.get("one");
    EXPECT_TRUE(instance.detached);
    EXPECT_TRUE(instance.base.file.empty());
    EXPECT_EQ(instance.image, "tiny:1") << "it is still known where it came from";
    EXPECT_TRUE(instances_.instances_of("img-1").empty());
    EXPECT_EQ(backing_of(instance), "");
    std::filesystem::remove(base_);
    if (instance.state == Instance::State::running) instances_.stop("one", Duration(0));
    EXPECT_TRUE(instances_.start("one", tcg)) << "it needs the image no longer";
    instances_.stop("one", Duration(0));
    const auto same = test::run({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", test::tiny_image("stay"),
                                 (instance.folder / machine_file::disk).string()});
    EXPECT_EQ(same.status, 0) << same.output;
  }

  test::TempDir home_;
  std::filesystem::path base_ = home_ / "base.qcow2";
  Instances instances_{home_.path()};
};

TEST_F(Detach, OneThatRunsGoesOn) {
  const Instance before = launch(false);
  EXPECT_NE(backing_of(before), "");
  std::uint64_t last = 0, all = 0;
  detach_disks(before, {}, [&](std::uint64_t done, std::uint64_t total) {
    last = done;
    all = total;
  });
  EXPECT_EQ(last, all);
  const Instance after = instances_.get("one");
  EXPECT_EQ(after.state, Instance::State::running);
  EXPECT_EQ(after.process, before.process);
  instances_.mark_detached("one");
  expect_stands_alone();
}

TEST_F(Detach, OneThatIsStoppedStaysStopped) {
  detach_disks(launch(true), {});
  EXPECT_EQ(instances_.get("one").state, Instance::State::stopped);
  instances_.mark_detached("one");
  expect_stands_alone();
}

TEST_F(Detach, ADiskThatSomebodyHasOpenIsLeftAlone) {
  const Instance instance = launch(false);
  Instance pretended = instance;
  pretended.state = Instance::State::stopped;
  try {
    detach_disks(pretended, {});
    FAIL() << "two programs wrote to one disk";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot be opened"));
  }
  EXPECT_NE(backing_of(instance), "");
}

}  // namespace
}  // namespace kiln
