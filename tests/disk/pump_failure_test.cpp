// What goes wrong in the middle of a pass.

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "disk/fakes.h"
#include "disk/pump.h"

namespace kiln {
namespace {

const std::uint64_t MiB = 1 << 20;

std::vector<Extent> all(std::uint64_t size) {
  return {{0, size, true}};
}

std::string failure_of(const BlockReader& disk, test::MemorySink& sink, unsigned workers) {
  BlockSink* const sinks[] = {&sink};
  try {
    pump(disk, sinks, {.workers = workers});
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing";
}

TEST(PumpFailure, OfAnyThreadEndsThePassOnce) {
  const auto at_five = [](const Batch& b) {
    if (b.offset == 5 * MiB) throw Error("no room");
  };
  for (const unsigned workers : {1u, 2u, 4u}) {
    test::RuleDisk disk(20 * MiB, all(20 * MiB));
    test::MemorySink encode, append, store, read;
    encode.on_encode = at_five;
    append.on_append = at_five;
    store.on_store = at_five;
    for (test::MemorySink* sink : {&encode, &append, &store}) EXPECT_EQ(failure_of(disk, *sink, workers), "no room");
    EXPECT_LE(append.order.size(), 5u) << "nothing is placed behind a failure";
    disk.on_read = [](std::uint64_t at) {
      if (at >= 7 * MiB) throw Error("the file is truncated");
    };
    EXPECT_EQ(failure_of(disk, read, workers), "the file is truncated");
    EXPECT_LE(read.order.size(), 7u);
  }
}

TEST(PumpFailure, OfTheProgressIsOneToo) {
  const test::RuleDisk disk(2 * MiB, all(2 * MiB));
  EXPECT_THROW(pump(disk, {}, {.progress = [](auto, auto) { throw Error("closed"); }}), Error);
}

TEST(PumpFailure, StopIsObeyedAtOnce) {
  test::RuleDisk disk(1000 * MiB, all(1000 * MiB));
  disk.on_read = [](std::uint64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  for (const unsigned workers : {1u, 3u}) {
    std::stop_source stop;
    std::chrono::steady_clock::time_point asked;
    std::jthread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      asked = std::chrono::steady_clock::now();
      stop.request_stop();
    });
    try {
      pump(disk, {}, {.stop = stop.get_token(), .workers = workers});
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.failure(), Failure::cancelled);
    }
    later.join();
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::milliseconds(500));
  }
}

TEST(PumpFailure, StoppedBeforeTheStartReadsNothing) {
  const test::RuleDisk disk(5 * MiB, all(5 * MiB));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(pump(disk, {}, {.stop = stop.get_token()}), Error);
  EXPECT_EQ(disk.bytes_read, 0u);
}

TEST(PumpFailure, AReaderThatBreaksItsPromiseIsNamed) {
  class Liar final : public BlockReader {
   public:
    std::uint64_t size() const override { return MiB; }
    Extent extent_at(std::uint64_t offset) const override { return {offset, 2 * MiB, true}; }
    void read(std::uint64_t, std::span<std::byte>) const override {}
  };
  test::MemorySink sink;
  EXPECT_EQ(failure_of(Liar(), sink, 1), "a reader described its disk wrongly");
}

}  // namespace
}  // namespace kiln
