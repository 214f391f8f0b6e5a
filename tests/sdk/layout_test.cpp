#include <gtest/gtest.h>

#include <cstring>

#include <kiln/layout.h>

namespace kiln {
namespace {

class Memory final : public BlockReader {
 public:
  explicit Memory(std::size_t size) : bytes(size) {}
  std::uint64_t size() const override { return bytes.size(); }
  Extent extent_at(std::uint64_t offset) const override { return {offset, bytes.size() - offset, true}; }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::memcpy(into.data(), bytes.data() + offset, into.size());
  }
  std::vector<std::byte> bytes;
};

std::string kind_with(std::size_t at, std::string_view mark, std::size_t size = 1 << 20) {
  Memory disk(size);
  std::memcpy(disk.bytes.data() + at, mark.data(), mark.size());
  return look_at(disk).kind;
}

TEST(Layout, NamesAFileSystemByItsMark) {
  EXPECT_EQ(kind_with(0, ""), "none");
  EXPECT_EQ(kind_with(1080, "\x53\xEF"), "ext4");
  EXPECT_EQ(kind_with(0, "XFSB"), "xfs");
  EXPECT_EQ(kind_with(0x10040, "_BHRfS_M"), "btrfs");
  EXPECT_EQ(kind_with(3, "EXFAT   "), "exfat");
  EXPECT_EQ(kind_with(0, "hsqs"), "squashfs");
  EXPECT_EQ(kind_with(1024, "\x10\x20\xf5\xf2"), "f2fs");
  EXPECT_EQ(kind_with(0, "LUKS\xba\xbe"), "luks");
}

TEST(Layout, FindsTheLabelOfLvmInAnyOfItsFourSectors) {
  for (const std::size_t sector : {0u, 1u, 2u, 3u}) EXPECT_EQ(kind_with(sector * 512, "LABELONE"), "lvm") << sector;
  EXPECT_EQ(kind_with(4u * 512, "LABELONE"), "none");
}

TEST(Layout, OfATinyDiskIsNothing) {
  EXPECT_EQ(kind_with(0, "", 512), "none");
  EXPECT_EQ(kind_with(0, "XFSB", 4), "xfs");
}

}  // namespace
}  // namespace kiln
