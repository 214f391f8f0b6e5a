#include "disk/difference.h"

#include <gmock/gmock.h>

#include "disk/fakes.h"
#include "disk/pump.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
constexpr std::uint64_t mib = 1u << 20;

using Piece = std::tuple<std::uint64_t, std::uint64_t, bool>;  // first, count, zeros

class Difference : public testing::Test {
 protected:
  /// `fill` bytes in the chunks that are listed, zeros elsewhere.
  Manifest of(std::uint64_t size, const std::map<std::uint64_t, int>& fill) {
    std::vector<std::byte> bytes(size);
    for (const auto& [chunk, value] : fill)
      std::memset(bytes.data() + chunk * chunk_size, value, std::min(chunk_size, size - chunk * chunk_size));
    const auto file = dir_ / std::to_string(++made_);
    ManifestSink sink(file, size);
    BlockSink* const sinks[] = {&sink};
    pump(ByteDisk(std::move(bytes)), sinks);
    sink.finish();
    return Manifest::open(file);
  }
  static std::vector<Piece> runs(const Manifest& there, const Manifest& wanted) {
    std::vector<Piece> all;
    for (const ChunkRun& run : difference(there, wanted)) all.emplace_back(run.first, run.count, run.zeros);
    return all;
  }

 private:
  class ByteDisk final : public BlockReader {
   public:
    explicit ByteDisk(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
    std::uint64_t size() const override { return bytes_.size(); }
    Extent extent_at(std::uint64_t offset) const override { return {offset, bytes_.size() - offset, true, false}; }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
      std::memcpy(into.data(), bytes_.data() + offset, into.size());
    }

   private:
    std::vector<std::byte> bytes_;
  };
  test::TempDir dir_;
  int made_ = 0;
};

TEST_F(Difference, OfEqualDisksIsNothing) {
  EXPECT_THAT(runs(of(mib, {}), of(mib, {})), IsEmpty());
  EXPECT_THAT(runs(of(mib, {{0, 1}, {7, 2}}), of(mib, {{0, 1}, {7, 2}})), IsEmpty());
}

TEST_F(Difference, IsWhatMustBeWritten) {
  const Manifest a = of(mib, {{0, 1}, {1, 1}, {3, 1}, {9, 1}}), b = of(mib, {{1, 2}, {2, 2}, {3, 1}, {15, 2}});
  EXPECT_THAT(runs(a, b), ElementsAre(Piece{0, 1, true}, Piece{1, 2, false}, Piece{9, 1, true}, Piece{15, 1, false}));
  EXPECT_THAT(runs(b, a), ElementsAre(Piece{0, 2, false}, Piece{2, 1, true}, Piece{9, 1, false}, Piece{15, 1, true}));
}

TEST_F(Difference, NeighboursAreOneRunUpToABatch) {
  std::map<std::uint64_t, int> all;
  for (std::uint64_t chunk = 0; chunk < 40; ++chunk) all[chunk] = 1;
  const Manifest none = of(3 * mib, {}), full = of(3 * mib, all);
  EXPECT_THAT(runs(none, full), ElementsAre(Piece{0, 16, false}, Piece{16, 16, false}, Piece{32, 8, false}));
  EXPECT_THAT(runs(full, none), ElementsAre(Piece{0, 16, true}, Piece{16, 16, true}, Piece{32, 8, true}));
}

TEST_F(Difference, OfDisksOfTwoSizes) {
  const Manifest small = of(mib / 2 + 512, {{8, 1}}), large = of(mib, {{12, 1}});
  EXPECT_THAT(runs(small, large), ElementsAre(Piece{8, 1, true}, Piece{12, 1, false}));
  EXPECT_THAT(runs(large, small), ElementsAre(Piece{8, 1, false}, Piece{12, 1, true}));
}

}  // namespace
}  // namespace kiln
