// What QEMU says to a memory that is of another machine, or none.
#include "machine/memory_state.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "disk/overlay.h"
#include "machine/instances.h"
#include "machine/qemu.h"
#include "qmp/qmp.h"
#include "support/disk_size.h"
#include "support/temp.h"
#include "support/tiny_image.h"

namespace kiln {
namespace {

using testing::HasSubstr;

class MemoryState : public testing::Test {
 protected:
  void TearDown() override {
    for (const Instance& i : instances_.list()) instances_.remove(i.name, true);
  }

  LaunchSpec spec(const std::string& name) const {
    LaunchSpec spec;
    spec.name = name;
    spec.memory = Bytes{64u << 20};
    spec.cpus = 1;
    return spec;
  }
  /// Of a machine that runs, copied to `to`. Returns its board.
  std::string save(const std::filesystem::path& to) {
    instances_.launch(base_, spec("one"), {"tcg", ""});
    Qmp qmp = Qmp::connect(home_ / "instances/one/qmp.sock", std::chrono::seconds(30));
    qmp.execute("stop");
    const File saved = save_memory(qmp, home_ / "saved", "m");
    EXPECT_FALSE(std::filesystem::exists(home_ / "saved"));
    std::vector<std::byte> bytes(saved.size());
    saved.read_at(0, bytes);
    File::create(to).write_at(0, bytes);
    qmp.execute("cont");
    return board_of(qmp);
  }
  void resume(const LaunchSpec& spec, const std::string& board, const std::filesystem::path& memory) {
    base_.resumption.board = board;
    instances_.launch(base_, spec, {"tcg", ""}, {}, {.before_start = [&](const std::vector<Instance>& made) {
                        std::filesystem::copy_file(memory, made.front().folder / machine_file::memory);
                      }});
  }
  void expect_that_it_does_not_fit(const LaunchSpec& spec, const std::string& board,
                                   const std::filesystem::path& memory) {
    try {
      resume(spec, board, memory);
      FAIL();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("the machine cannot go on from that memory: snapshot-load: "));
      EXPECT_THAT(error.hint(), HasSubstr("without --resume"));
    }
    EXPECT_FALSE(std::filesystem::exists(home_ / "instances" / spec.name));
  }

  test::TempDir home_;
  Instances instances_{home_.path()};
  LaunchBase base_{
      {test::tiny_image("stay"), "qcow2"}, "img-1", "tiny:1", "tiny", test::disk_size(test::tiny_image("stay"))};
};

TEST_F(MemoryState, FitsTheMachineThatItIsOf) {
  const std::string board = save(home_ / "memory");
  resume(spec("two"), board, home_ / "memory");
  EXPECT_EQ(instances_.get("two").state, Instance::State::running);
  LaunchSpec larger = spec("three");
  larger.memory = Bytes{128u << 20};
  expect_that_it_does_not_fit(larger, board, home_ / "memory");
  LaunchSpec other = spec("three");
  other.disk_bus = "scsi";
  expect_that_it_does_not_fit(other, board, home_ / "memory");
}

TEST_F(MemoryState, AFileThatHoldsNoneLaunchesNothing) {
  create_empty(home_ / "none", 1u << 20);
  expect_that_it_does_not_fit(spec("two"), "q35", home_ / "none");
  const LaunchSpec two = spec("two");
  EXPECT_THROW(resume(two, "pc-q35-999.0", home_ / "none"), Error);  // a board that this QEMU does not have
  EXPECT_FALSE(std::filesystem::exists(home_ / "instances/two"));
}

}  // namespace
}  // namespace kiln
