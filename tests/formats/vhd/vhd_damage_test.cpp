// Damaged and hostile files: one clear error, or the right bytes; never wrong ones.

#include <gtest/gtest.h>

#include "disk/pump.h"
#include "formats/vhd/vhd_files.h"

namespace kiln {
namespace {

using test::vhd;
using test::why_not;

const std::uint64_t MiB = 1 << 20;
const auto overwrite = std::filesystem::copy_options::overwrite_existing;

class VhdDamage : public testing::Test {
 protected:
  // Three blocks of data in a disk of five: footer, header at 512, table at 1536, blocks from 2048, footer.
  VhdDamage() {
    test::write_raw(dir / "raw", {"disk", 10 * MiB, {{0, 2 * MiB}, {5 * MiB, 64 << 10}, {9 * MiB, MiB}}});
    test::qemu_from_raw(dir / "raw", dir / "dynamic", "vpc", "force_size=on,subformat=dynamic");
    test::qemu_from_raw(dir / "raw", dir / "fixed", "vpc", "force_size=on,subformat=fixed");
  }

  std::filesystem::path copy(const std::string& kind) const {
    std::filesystem::copy_file(dir / kind, dir / "bad", overwrite);
    return dir / "bad";
  }

  void set_block(std::size_t block, std::uint32_t first_sector) const {
    std::array<std::byte, 4> entry{};
    put_be<std::uint32_t>(entry, 0, first_sector);
    File::open_write(dir / "bad").write_at(1536 + block * 4, entry);
  }

  // The content as it should be, or an Error: true.
  testing::AssertionResult right_or_refused(const std::filesystem::path& file) const {
    try {
      return test::same_as_raw(*vhd().open(file), dir / "raw");
    } catch (const Error&) {
      return testing::AssertionSuccess();
    }
  }

  test::TempDir dir;
};

TEST_F(VhdDamage, ADifferencingDiskIsRefusedByName) {
  const auto bad = copy("dynamic");
  test::edit_footer(bad, [](std::span<std::byte> f) { put_be<std::uint32_t>(f, 60, 4); });
  EXPECT_EQ(why_not(bad),
            "bad is a differencing VHD: it holds only what differs from its parent; merge it into its parent first "
            "(Hyper-V: Merge-VHD), and give the merged disk; VHD footer, bytes 60..63: disk type 4");
  try {
    vhd().inspect(bad);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::refused);
  }
}

TEST_F(VhdDamage, ADamagedFooterIsReplacedByItsCopy) {
  const auto bad = copy("dynamic");
  test::flip_byte(bad, std::filesystem::file_size(bad) - 512 + 50);
  EXPECT_TRUE(test::same_as_raw(*vhd().open(bad), dir / "raw"));
  EXPECT_EQ(vhd().inspect(bad).details.at("footer"), "damaged, its copy at the start was used");
  test::flip_byte(bad, 50);
  EXPECT_EQ(why_not(bad),
            "bad is damaged; get a sound copy of the file; footer, bytes 64..67: the checksum does not fit, and "
            "there is no intact copy");
  const auto copy_damaged = copy("dynamic");
  test::flip_byte(copy_damaged, 3);
  EXPECT_TRUE(test::same_as_raw(*vhd().open(copy_damaged), dir / "raw"));
}

TEST_F(VhdDamage, OfAFixedDiskHasNoCopyToFallBackTo) {
  const auto bad = copy("fixed");
  test::flip_byte(bad, 10 * MiB + 50);
  EXPECT_EQ(why_not(bad).substr(0, 14), "bad is damaged");
  test::cut_file(bad, 9 * MiB);
  EXPECT_EQ(why_not(bad),
            "bad is not a VHD, or its end is missing; give the format that it has; neither the last 512 bytes nor the "
            "first begin with \"conectix\"");
}

TEST_F(VhdDamage, AFooterOf511BytesIsAnOldOne) {
  const auto old = copy("fixed");
  test::cut_file(old, 10 * MiB + 511);
  EXPECT_TRUE(test::same_as_raw(*vhd().open(old), dir / "raw"));
}

TEST_F(VhdDamage, AFixedDiskLongerOrShorterThanItSaysIsRefused) {
  const auto bad = copy("fixed");
  test::edit_footer(bad, [](std::span<std::byte> f) { put_be<std::uint64_t>(f, 48, 11 * MiB); });
  EXPECT_EQ(why_not(bad),
            "bad is truncated; get a complete copy of the file; the disk has 11534336 bytes, the file holds 10485760");
  test::edit_footer(bad, [](std::span<std::byte> f) { put_be<std::uint64_t>(f, 48, 9 * MiB); });
  EXPECT_EQ(why_not(bad),
            "bad is damaged; get a sound copy of the file; footer, bytes 48..55: a disk of 9437184 bytes, but the "
            "file holds 10485760");
}

TEST_F(VhdDamage, HeadersThatLieAreNamed) {
  const auto with = [&](std::uint64_t offset, std::size_t size, std::size_t field, std::size_t at,
                        std::uint32_t value) {
    const auto bad = copy("dynamic");
    const auto change = [&](std::span<std::byte> b) { put_be<std::uint32_t>(b, at, value); };
    if (offset == 0)
      test::edit_footer(bad, change);
    else
      test::edit(bad, offset, size, field, change);
    const std::string why = why_not(bad);
    return why.substr(why.rfind("; ") + 2);
  };
  EXPECT_EQ(with(0, 512, 64, 60, 99), "footer, bytes 60..63: disk type 99 is unknown");
  EXPECT_EQ(with(0, 512, 64, 12, 0x00020000), "footer, bytes 12..15: unknown version of the format");
  EXPECT_EQ(with(0, 512, 64, 48, 0x7fffffff), "footer, bytes 48..55: a size of 9223372032570294272 bytes");
  EXPECT_EQ(with(0, 512, 64, 20, 0x7fffffff), "the dynamic header should be at byte 2147483647");
  EXPECT_EQ(with(512, 1024, 36, 20, 0x7fffffff), "the block table should be at byte 2147483647");
  EXPECT_EQ(with(512, 1024, 36, 28, 4),
            "dynamic header, bytes 28..31: 4 blocks of 2097152 bytes for a disk of 10485760");
  for (const std::uint32_t size : {0u, 1u, 512u, 3u << 20, 0x80000000u})
    EXPECT_EQ(with(512, 1024, 36, 32, size), "dynamic header, bytes 32..35: a block size of " + std::to_string(size));
  const auto bad = copy("dynamic");
  test::flip_byte(bad, 512 + 600);
  EXPECT_EQ(why_not(bad).substr(why_not(bad).rfind("; ") + 2),
            "dynamic header, bytes 36..39: the mark or the checksum does not fit");
}

TEST_F(VhdDamage, BlocksOutsideOrOnOneAnotherAreNamed) {
  auto bad = copy("dynamic");
  set_block(1, 4 + 4097);  // where block 2 is
  EXPECT_EQ(why_not(bad),
            "bad is damaged; get a sound copy of the file; block table: two structures share the "
            "bytes at 2099712");
  for (const std::uint32_t metadata : {0u, 1u, 3u}) {
    bad = copy("dynamic");
    set_block(0, metadata);
    EXPECT_NE(why_not(bad).find("two structures share the bytes"), std::string::npos) << metadata;
  }
  bad = copy("dynamic");
  set_block(1, 0x7fffffff);
  EXPECT_EQ(why_not(bad).substr(0, 16), "bad is truncated");
  bad = copy("dynamic");
  test::cut_file(bad, std::filesystem::file_size(bad) - 513);  // the last byte of the last block
  EXPECT_EQ(why_not(bad).substr(0, 16), "bad is truncated");
}

TEST_F(VhdDamage, TwoFootersThatDisagreeAreNoDisk) {
  const auto bad = copy("dynamic");
  test::edit(bad, std::filesystem::file_size(bad) - 512, 512, 64,
             [](std::span<std::byte> f) { put_be<std::uint32_t>(f, 60, 2); });
  EXPECT_EQ(why_not(bad),
            "bad is damaged; get a sound copy of the file; bytes 40..63: the footer and its copy at "
            "the start disagree about size or type");
}

TEST_F(VhdDamage, CutAnywhereItIsRefusedOrWhole) {
  for (const std::string kind : {"dynamic", "fixed"}) {
    const std::uint64_t size = std::filesystem::file_size(dir / kind);
    for (std::uint64_t cut = 0; cut < size; cut += cut < 4096 || cut + 1024 > size ? 97 : 512 * 1024 - 31) {
      const auto bad = copy(kind);
      test::cut_file(bad, cut);
      EXPECT_TRUE(right_or_refused(bad)) << kind << " cut at " << cut;
    }
  }
}

TEST_F(VhdDamage, AnyFlippedBitOfTheTablesIsSeenOrHarmless) {
  std::filesystem::copy_file(dir / "dynamic", dir / "bad", overwrite);
  const std::uint64_t size = std::filesystem::file_size(dir / "bad");
  for (std::uint64_t at = 0; at < size; at = at == 1554 ? size - 512 : at + 3) {
    const auto mask = static_cast<std::uint8_t>(1u << (at % 8));
    test::flip_byte(dir / "bad", at, mask);
    EXPECT_TRUE(right_or_refused(dir / "bad")) << at;
    test::flip_byte(dir / "bad", at, mask);
  }
}

}  // namespace
}  // namespace kiln
