#include "disk/pump.h"

#include <gtest/gtest.h>

#include <chrono>

#include "disk/content.h"
#include "disk/fakes.h"
#include "support/disks.h"
#include "support/temp.h"

namespace kiln {
namespace {

const std::uint64_t MiB = 1 << 20, TiB = std::uint64_t{1} << 40;

// The definition, word by word, on one thread.
Digest content_of(const BlockReader& disk) {
  ContentHasher hasher(disk.size());
  for (std::uint64_t at = 0; at < disk.size(); at += chunk_size) {
    std::vector<std::byte> chunk(chunk_size);
    disk.read(at, std::span(chunk).first(std::min(chunk_size, disk.size() - at)));
    if (!is_zero(chunk)) hasher.add(at / chunk_size, sha256(chunk));
  }
  return hasher.finish();
}

TEST(Pump, FindsTheContentDigestOfEveryShape) {
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    if (shape.size > 100 * MiB) continue;  // the definition reads every byte
    test::TempDir dir;
    test::write_raw(dir / "raw", shape);
    const test::RawDisk disk(dir / "raw");
    const Digest expected = content_of(disk);
    for (const unsigned workers : {1u, 2u, 5u}) EXPECT_EQ(pump(disk, {}, {.workers = workers}).content, expected);
  }
}

TEST(Pump, GivesEverySinkTheWholeDiskInOrder) {
  test::TempDir dir;
  test::write_raw(dir / "raw",
                  {"disk", 30 * MiB + 1000, {{MiB - 100, 200}, {9 * MiB, 12 * MiB}, {30 * MiB + 990, 10}}});
  const test::RawDisk disk(dir / "raw");
  test::MemorySink a, b;
  BlockSink* const sinks[] = {&a, &b};
  const PassResult result = pump(disk, sinks, {.workers = 3});
  for (const test::MemorySink* sink : {&a, &b}) {
    EXPECT_TRUE(std::ranges::is_sorted(sink->order));
    EXPECT_EQ(sink->order.size(), 2u + 12 + 1);
    EXPECT_FALSE(sink->overlapped);
    EXPECT_FALSE(sink->finished) << "finish() is the caller's";
    std::vector<std::byte> copy(disk.size() + chunk_size), original(disk.size() + chunk_size);
    for (const auto& [offset, bytes] : sink->bytes) {
      ASSERT_EQ(bytes.size() % chunk_size, 0u);
      ASSERT_LE(offset + bytes.size(), copy.size());
      std::ranges::copy(bytes, copy.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    disk.read(0, std::span(original).first(disk.size()));
    EXPECT_TRUE(copy == original);
  }
  // Chunks 15, 16, 144..335 and the last one, of 1000 bytes.
  EXPECT_EQ(result.data_bytes, 2 * chunk_size + 12 * MiB + 1000);
}

TEST(Pump, DoesNotOfferZerosThatTheContainerCallsData) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"zeros", 8 * MiB, {{0, 8 * MiB, test::Piece::Kind::zeros}, {5 * MiB, 1}}});
  test::MemorySink sink;
  BlockSink* const sinks[] = {&sink};
  const PassResult result = pump(test::RawDisk(dir / "raw"), sinks);
  EXPECT_EQ(sink.order, std::vector<std::uint64_t>{5 * MiB});
  EXPECT_FALSE(sink.digests.at(80).is_zero_chunk());
  EXPECT_TRUE(sink.digests.at(81).is_zero_chunk());
  EXPECT_EQ(result.data_bytes, chunk_size);
}

TEST(Pump, JumpsOverTheHolesOfAHugeDisk) {
  const test::RuleDisk disk(64 * TiB, {{40 * TiB + 5, 10, true}});
  test::MemorySink sink;
  BlockSink* const sinks[] = {&sink};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(pump(disk, sinks).data_bytes, chunk_size);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ(disk.bytes_read, 10u) << "holes are not read, not even beside data";
  EXPECT_EQ(sink.order, std::vector<std::uint64_t>{40 * TiB});
}

TEST(Pump, ReportsDataFromNothingToAll) {
  const test::RuleDisk disk(64 * MiB, {{10 * MiB, 4 * MiB, true}, {60 * MiB, 4 * MiB, true}});
  std::vector<std::pair<std::uint64_t, std::uint64_t>> calls;
  pump(disk, {}, {.progress = [&](auto done, auto total) { calls.emplace_back(done, total); }});
  ASSERT_FALSE(calls.empty());
  EXPECT_TRUE(std::ranges::is_sorted(calls));
  EXPECT_EQ(calls.back(), std::pair(8 * MiB, 8 * MiB));
}

TEST(Pump, KeepsFewBatchesInMemoryWhenASinkIsSlow) {
  std::atomic<int> alive = 0, most = 0;
  class Counter final : public BlockSink {
   public:
    Counter(std::atomic<int>& a, std::atomic<int>& m) : alive_(a), most_(m) {}
    std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const override {
      struct Live : Encoded {
        explicit Live(std::atomic<int>& n) : n_(n) { ++n_; }
        ~Live() override { --n_; }
        std::atomic<int>& n_;
      };
      auto live = std::make_unique<Live>(alive_);
      most_ = std::max(most_.load(), alive_.load());
      return live;
    }
    void append(Encoded&) override {}
    void store(Encoded&) override { std::this_thread::sleep_for(std::chrono::microseconds(200)); }
    void finish() override {}

   private:
    std::atomic<int>&alive_, &most_;
  } sink(alive, most);
  BlockSink* const sinks[] = {&sink};
  pump(test::RuleDisk(100 * MiB, {{0, 100 * MiB, true}}), sinks, {.workers = 64});
  EXPECT_LE(most, 40);
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace kiln
