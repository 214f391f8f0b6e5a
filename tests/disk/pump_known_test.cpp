// What is known of a disk is not read again.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "disk/fakes.h"
#include "disk/manifest.h"
#include "disk/pump.h"
#include "support/temp.h"

namespace kiln {
namespace {

const std::uint64_t MiB = 1 << 20;

Manifest manifest_of(const BlockReader& disk, const std::filesystem::path& file) {
  ManifestSink sink(file, disk.size());
  BlockSink* const sinks[] = {&sink};
  pump(disk, sinks);
  sink.finish();
  return Manifest::open(file);
}

TEST(PumpKnown, InheritedChunksAreNotRead) {
  test::TempDir dir;
  const test::RuleDisk below(64 * MiB, {{0, 64 * MiB, true, true}});
  const Manifest known = manifest_of(below, dir / "m");
  // An overlay that holds 4 KiB in the middle of chunk 20, and a piece across chunks 100 and 101.
  const test::RuleDisk top(64 * MiB, {{0, 20 * chunk_size + 512, true, true},
                                      {20 * chunk_size + 512, 4096, true, false},
                                      {20 * chunk_size + 4608, 80 * chunk_size, true, true},
                                      {100 * chunk_size + 4608, chunk_size, true, false},
                                      {101 * chunk_size + 4608, 64 * MiB, true, true}});
  const Digest expected = pump(top, {}).content;
  top.bytes_read = 0;
  EXPECT_EQ(pump(top, {}, {.known = &known}).content, expected);
  EXPECT_EQ(top.bytes_read, 3 * chunk_size);

  // A sink that has what lies below wants the two new batches only; one that has nothing wants all.
  test::MemorySink has, has_not;
  for (const Manifest::Entry& e : known.entries()) has.known.insert(e.digest);
  top.bytes_read = 0;
  BlockSink* const first[] = {&has};
  pump(top, first, {.known = &known});
  EXPECT_EQ(top.bytes_read, 2 * MiB);
  EXPECT_EQ(has.without_bytes.size(), 62u);
  BlockSink* const both[] = {&has, &has_not};
  EXPECT_EQ(pump(top, both, {.known = &known}).content, expected);
  EXPECT_TRUE(has_not.without_bytes.empty());
}

TEST(PumpKnown, AWholeManifestLeavesNothingToHash) {
  test::TempDir dir;
  const test::RuleDisk disk(16 * MiB + 10, {{2 * MiB, 14 * MiB + 10, true}});
  const Manifest known = manifest_of(disk, dir / "m");
  disk.bytes_read = 0;
  test::MemorySink has;
  for (const Manifest::Entry& e : known.entries()) has.known.insert(e.digest);
  BlockSink* const sinks[] = {&has};
  const PassResult result = pump(disk, sinks, {.known = &known, .known_is_whole = true});
  EXPECT_EQ(result.content, known.content());
  EXPECT_EQ(result.data_bytes, 14 * MiB + 10);
  EXPECT_EQ(disk.bytes_read, 0u);
  // One chunk is missing there: its batch is read, and no other.
  has.known.erase(known.at(100));
  pump(disk, sinks, {.known = &known, .known_is_whole = true});
  EXPECT_EQ(disk.bytes_read, MiB);
  const test::RuleDisk other(MiB, {});
  EXPECT_THROW(pump(other, {}, {.known = &known, .known_is_whole = true}), Error);
}

// Whatever the layers' sizes and extents are, a pass that knows what lies below finds what one that does not finds.
RC_GTEST_PROP(PumpKnown, FindsTheSameAsAPassThatKnowsNothing, ()) {
  const auto below_size = *rc::gen::inRange<std::uint64_t>(1, 3 * MiB);
  const auto size = *rc::gen::oneOf(rc::gen::just(below_size), rc::gen::inRange<std::uint64_t>(1, 3 * MiB));
  const auto cuts = *rc::gen::container<std::set<std::uint64_t>>(rc::gen::inRange<std::uint64_t>(0, 6000));
  std::vector<Extent> below, top;
  std::uint64_t at = 0;
  const auto add = [&](std::uint64_t end) {
    const bool data_below = *rc::gen::arbitrary<bool>();
    const int here = *rc::gen::inRange(0, 3);  // inherited, own data, own zeros
    if (end > at && data_below && at < below_size) below.push_back({at, std::min(end, below_size) - at, true, true});
    if (end > at && here != 0) top.push_back({at, end - at, here == 1, false});
    if (end > at && here == 0) {
      const std::uint64_t edge = std::clamp(below_size, at, end);
      if (edge > at) top.push_back({at, edge - at, data_below, true});
      if (end > edge) top.push_back({edge, end - edge, false, true});
    }
    at = end;
  };
  for (const std::uint64_t cut : cuts) add(cut * 512);
  add(std::max(size, below_size));
  test::TempDir dir;
  const Manifest known = manifest_of(test::RuleDisk(below_size, below), dir / "m");
  const test::RuleDisk disk(size, top);
  test::MemorySink plain, knowing;
  BlockSink* const a[] = {&plain};
  BlockSink* const b[] = {&knowing};
  RC_ASSERT(pump(disk, a).content == pump(disk, b, {.known = &known}).content);
  RC_ASSERT(plain.bytes == knowing.bytes);
}

}  // namespace
}  // namespace kiln
