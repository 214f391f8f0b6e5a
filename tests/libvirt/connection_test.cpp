#include "libvirt/connection.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testing::HasSubstr;

TEST(Connection, AHostThatIsNotThereIsNamedInLibvirtsOwnWords) {
  try {
    const Connection connection("qemu:///session?socket=/nowhere/libvirt-sock");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot connect to qemu:///session?socket=/nowhere/libvirt-sock: "));
    EXPECT_THAT(error.what(), HasSubstr("No such file or directory"));
    EXPECT_THAT(error.hint(), HasSubstr("virsh -c 'qemu:///session?socket=/nowhere/libvirt-sock' version"));
  }
}

TEST(Connection, SaysWhereItIs) {
  EXPECT_EQ(Connection("test:///default").uri(), "test:///default");
}

TEST(Connections, OpenEachHostOnce) {
  Connections connections;
  const auto first = connections.open("test:///default");
  EXPECT_TRUE(first->alive());
  EXPECT_EQ(connections.open("test:///default"), first);
}

TEST(Patience, EndsAtItsTimeAndPassesOnWhatIsThrown) {
  const auto begin = Clock::now();
  Patience<int> slow([] {
    std::this_thread::sleep_for(2s);
    return 1;
  });
  EXPECT_EQ(slow.wait(begin + 100ms), std::nullopt);
  EXPECT_LT(Clock::now() - begin, 1s);
  EXPECT_EQ(slow.wait(begin + 60s), 1);
  Patience<int> bad([]() -> int { throw Error("no"); });
  EXPECT_THROW(bad.wait(Clock::now() + 60s), Error);
  std::stop_source stop;
  stop.request_stop();
  Patience<int> stopped([] {
    std::this_thread::sleep_for(1s);
    return 1;
  });
  try {
    stopped.wait(Clock::now() + 60s, stop.get_token());
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(is_cancelled(error));
  }
}

}  // namespace
}  // namespace kiln
