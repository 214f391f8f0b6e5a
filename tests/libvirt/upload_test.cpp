#include "libvirt/upload.h"

#include <gtest/gtest.h>

#include "disk/fakes.h"
#include "libvirt/manifest_of.h"
#include "support/temp.h"

namespace kiln {

void PrintTo(const Range& range, std::ostream* out) {
  *out << range.offset << "+" << range.length;
}

namespace {

using Ranges = std::vector<Range>;
constexpr std::uint64_t C = chunk_size;

class Uploads : public testing::Test {
 protected:
  Manifest manifest(const BlockReader& disk) { return test::manifest_of(disk, folder_ / std::to_string(++count_)); }
  test::TempDir folder_;
  int count_ = 0;
};

TEST_F(Uploads, DataIsWhatIsNotZeroUpToTheDisksEnd) {
  EXPECT_EQ(data_of(manifest(test::RuleDisk(9 * C + 512, {{C, 2 * C, true}, {9 * C, 512, true}}))),
            (Ranges{{C, 2 * C}, {9 * C, 512}}));
  EXPECT_EQ(data_of(manifest(test::RuleDisk(9 * C, {}))), Ranges{});
}

TEST_F(Uploads, ADifferenceIsWhatIsNewAndWhatIsGone) {
  const Manifest old = manifest(test::RuleDisk(20 * C, {{C, 4 * C, true}, {10 * C, C, true}}));
  const Manifest now = manifest(test::RuleDisk(20 * C, {{C, 4 * C, true}, {15 * C, 2 * C, true}}));
  EXPECT_EQ(differences(now, old), (Ranges{{10 * C, C}, {15 * C, 2 * C}}));
  EXPECT_EQ(differences(old, now), (Ranges{{10 * C, C}, {15 * C, 2 * C}}));
  EXPECT_EQ(differences(now, now), Ranges{});
  EXPECT_EQ(length_of(differences(now, old)), 3 * C);
}

TEST_F(Uploads, ALongerDiskDiffersInItsEnd) {
  const Manifest old = manifest(test::RuleDisk(4 * C, {{C, C, true}}));
  const Manifest now = manifest(test::RuleDisk(9 * C, {{C, C, true}, {8 * C, C, true}}));
  EXPECT_EQ(differences(now, old), (Ranges{{8 * C, C}}));
}

}  // namespace
}  // namespace kiln
