// Damaged and hostile files: one clear error, or the right bytes; never wrong ones.

#include <gtest/gtest.h>

#include "formats/vhdx/vhdx_files.h"

namespace kiln {
namespace {

using test::blocks_at;
using test::edit;
using test::metadata_at;
using test::table_at;
using test::vhdx;
using test::why_not;

const std::uint64_t KiB = 1 << 10, MiB = 1 << 20;
const auto overwrite = std::filesystem::copy_options::overwrite_existing;
using Structure = std::span<std::byte>;

std::string damaged(const std::string& code, const std::string& evidence) {
  return code + ": bad is damaged; get a sound copy of the file; " + evidence;
}

class VhdxDamage : public testing::Test {
 protected:
  // Log at 1 MiB, metadata at 2, block table at 3, blocks 0, 2 and 3 of the disk's five from 4 MiB on.
  VhdxDamage() {
    test::write_raw(dir / "raw", {"disk", 5 * MiB, {{0, MiB}, {2 * MiB, 2 * MiB}}});
    test::write_vhdx(dir / "raw", dir / "good");
  }

  std::filesystem::path copy() const {
    std::filesystem::copy_file(dir / "good", bad, overwrite);
    return bad;
  }
  template <class T>
  std::string with(std::uint64_t at, T value) const {
    copy();
    test::put<T>(bad, at, value);
    return why_not(bad);
  }
  std::string with_header(const std::function<void(Structure)>& change) const {
    copy();
    test::edit_headers(bad, change);
    return why_not(bad);
  }
  std::string with_regions(const std::function<void(Structure)>& change) const {
    copy();
    test::edit_regions(bad, change);
    return why_not(bad);
  }
  std::string with_block(std::uint64_t block, std::uint64_t entry) const {
    return with<std::uint64_t>(table_at + block * 8, entry);
  }
  void expect_right(const std::string& detail) const {
    EXPECT_TRUE(test::same_as_raw(*vhdx().open(bad), dir / "raw"));
    EXPECT_EQ(vhdx().inspect(bad).details.at(detail), "one of the two is damaged, the other was used");
  }
  // The content as it should be, or an Error with a code: true.
  testing::AssertionResult right_or_refused() const {
    try {
      return test::same_as_raw(*vhdx().open(bad), dir / "raw");
    } catch (const Error& e) {
      return e.code().empty() ? testing::AssertionFailure() << e.what() << " has no code" : testing::AssertionSuccess();
    }
  }

  test::TempDir dir;
  std::filesystem::path bad = dir / "bad";
};

TEST_F(VhdxDamage, ATornHeaderIsReplacedByTheOtherOne) {
  for (const std::uint64_t torn : {64 * KiB, 128 * KiB}) {
    copy();
    test::flip_byte(bad, torn + 4000);
    expect_right("header");
  }
  test::flip_byte(bad, 64 * KiB + 9);
  EXPECT_EQ(why_not(bad), damaged("ChecksumMismatch",
                                  "VHDX headers, bytes 65536..69631 and 131072..135167: mark or checksum does not fit "
                                  "in both"));
}

TEST_F(VhdxDamage, TheHeaderWithTheGreaterNumberCounts) {
  const auto point_nowhere = [](Structure h) { put_le<std::uint64_t>(h, 72, 4096); };
  const auto renumber = [](Structure h) { put_le<std::uint64_t>(h, 8, 900); };
  copy();
  edit(bad, 64 * KiB, 4096, point_nowhere);  // the older one, number 1
  EXPECT_EQ(why_not(bad), "opened");
  edit(bad, 64 * KiB, 4096, renumber);
  EXPECT_EQ(why_not(bad), damaged("Damaged", "VHDX header 1, bytes 72..79: the log at byte 4096"));
  edit(bad, 128 * KiB, 4096, renumber);
  EXPECT_EQ(why_not(bad), damaged("Damaged",
                                  "VHDX headers, bytes 65544..65551 and 131080..131087: two that differ have the same "
                                  "number 900"));
  copy();
  test::edit_headers(bad, renumber);  // equal ones, as disk2vhd makes them
  EXPECT_EQ(why_not(bad), "opened");
}

TEST_F(VhdxDamage, HeadersThatLieAreNamed) {
  const std::string unknown =
      "UnsupportedFeature: bad is a VHDX of a version that kiln does not know; convert it with the program that made "
      "it "
      "to a VHDX of version 1; VHDX header 2, bytes ";
  EXPECT_EQ(with_header([](Structure h) { put_le<std::uint16_t>(h, 66, 2); }), unknown + "66..67: version 2");
  EXPECT_EQ(with_header([](Structure h) {
              put_le<std::uint16_t>(h, 64, 1);
              h[48] = std::byte{1};
            }),
            unknown + "64..65: log version 1");
  EXPECT_EQ(with_header([](Structure h) { put_le<std::uint32_t>(h, 68, 4096); }),
            damaged("Damaged", "VHDX header 2, bytes 68..71: a log of 4096 bytes"));
  EXPECT_EQ(with_header([](Structure h) { put_le<std::uint64_t>(h, 72, 0); }),
            damaged("Damaged", "VHDX header 2, bytes 72..79: the log at byte 0"));
  EXPECT_EQ(
      with_header([](Structure h) { put_le<std::uint64_t>(h, 72, 900 * MiB); }),
      "Truncated: bad is truncated; get a complete copy of the file; VHDX header 2, bytes 72..79: the log ends at "
      "byte 944766976, the file at 7340032");
  EXPECT_EQ(with_header([](Structure h) { put_le<std::uint64_t>(h, 72, UINT64_MAX - MiB + 1); }).substr(0, 9),
            "Truncated");
  EXPECT_EQ(with<std::uint64_t>(0, 0),
            "FormatMismatch: bad is not a VHDX; give the format that it has; bytes 0..7 are "
            "not \"vhdxfile\"");
}

TEST_F(VhdxDamage, ATornRegionTableIsReplacedByTheOtherOne) {
  for (const std::uint64_t torn : {192 * KiB, 256 * KiB}) {
    copy();
    test::flip_byte(bad, torn + 16 + 17);
    expect_right("region_table");
  }
  test::flip_byte(bad, 192 * KiB + 65535);
  EXPECT_EQ(why_not(bad), damaged("ChecksumMismatch",
                                  "VHDX region tables, bytes 196608..262143 and 262144..327679: mark or checksum does "
                                  "not fit in both"));
  copy();
  edit(bad, 256 * KiB, 64 * KiB, [](Structure t) { put_le<std::uint64_t>(t, 32, 2 * MiB); });
  EXPECT_EQ(why_not(bad),
            damaged("Damaged", "VHDX region tables, bytes 196608..262143 and 262144..327679: they disagree"));
}

// The block table is the first entry, the metadata the second one: GUID, offset, length, required.
TEST_F(VhdxDamage, RegionsThatLieAreNamed) {
  const auto table = [](const std::string& fact) { return "VHDX region table, byte 196624: " + fact; };
  EXPECT_EQ(with_regions([](Structure t) { t[16] ^= std::byte{1}; }),
            "UnsupportedFeature: bad needs a feature of VHDX that kiln does not know; convert it with the program that "
            "made it to a plain VHDX; " +
                table("an unknown required region"));
  EXPECT_EQ(with_regions([](Structure t) {
              t[16] ^= std::byte{1};
              put_le<std::uint32_t>(t, 44, 0);
            }),
            damaged("Damaged", "VHDX region table: it names no block allocation table"));
  EXPECT_EQ(with_regions([](Structure t) { put_le<std::uint32_t>(t, 8, 1); }),
            damaged("Damaged", "VHDX region table: it names no metadata region"));
  EXPECT_EQ(with_regions([](Structure t) { put_le<std::uint32_t>(t, 8, 2048); }),
            damaged("Damaged", "VHDX region table, byte 196616: 2048 entries"));
  EXPECT_EQ(with_regions([](Structure t) { put_le<std::uint32_t>(t, 44, 3); }),
            damaged("Damaged", table("reserved bits 0x3")));
  for (const std::uint64_t at : {std::uint64_t{0}, MiB + 4096, std::uint64_t{1} << 63})
    EXPECT_EQ(with_regions([&](Structure t) { put_le<std::uint64_t>(t, 32, at); }),
              damaged("Damaged", table("a region of 1048576 bytes at byte " + std::to_string(at))));
  for (const std::uint32_t length : {0u, 4096u})
    EXPECT_EQ(with_regions([&](Structure t) { put_le<std::uint32_t>(t, 40, length); }),
              damaged("Damaged", table("a region of " + std::to_string(length) + " bytes at byte 3145728")));
  EXPECT_EQ(with_regions([](Structure t) { put_le<std::uint64_t>(t, 32, 64 * MiB); }),
            "Truncated: bad is truncated; get a complete copy of the file; VHDX block allocation table ends at byte "
            "68157440, the file at 7340032");
  EXPECT_EQ(with_regions([](Structure t) { put_le<std::uint64_t>(t, 32, MiB); }),
            damaged("Overlap", "VHDX block allocation table, bytes 1048576..2097151: it lies on the VHDX log"));
  EXPECT_EQ(
      with_regions([](Structure t) { put_le<std::uint64_t>(t, 32, 2 * MiB); }),
      damaged("Overlap", "VHDX metadata region, bytes 2097152..3145727: it lies on the VHDX block allocation table"));
  EXPECT_EQ(with_regions([](Structure t) {
              std::ranges::copy(t.subspan(16, 32), t.begin() + 80);
              put_le<std::uint64_t>(t, 96, 6 * MiB);
              put_le<std::uint32_t>(t, 8, 3);
            }),
            damaged("Damaged", "VHDX region table, byte 196688: the VHDX block allocation table is there twice"));
}

TEST_F(VhdxDamage, ADifferencingDiskIsRefusedByName) {
  const std::string refusal =
      "ParentNeeded: bad is a differencing VHDX: it holds only what differs from its parent; merge it into its parent "
      "first (Hyper-V: Merge-VHD), and give the merged disk; VHDX metadata, entry at byte ";
  EXPECT_EQ(with<std::uint32_t>(metadata_at + 64 * KiB + 4, 2), refusal + "32: the flag HasParent");
  EXPECT_EQ(with<std::uint32_t>(metadata_at + 64 * KiB + 4, 3), refusal + "32: the flag HasParent");
  try {
    vhdx().inspect(bad);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::refused);
  }
  copy();
  File file = File::open_write(bad);
  const std::array<std::uint8_t, 16> locator{0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                             0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};
  file.write_at(metadata_at + 192, std::as_bytes(std::span(locator)));
  test::put<std::uint32_t>(bad, metadata_at + 192 + 24, 4);
  test::put<std::uint16_t>(bad, metadata_at + 10, 6);
  EXPECT_EQ(why_not(bad), refusal + "192: a parent locator");
}

// Entries of 32 bytes from 32 on: file parameters, size, id, logical and physical sector size. Their items: from 64
// KiB.
TEST_F(VhdxDamage, MetadataThatLiesIsNamed) {
  const auto item = [&](int n, int field) {
    return metadata_at + 32 + 32 * static_cast<std::uint64_t>(n - 1) + static_cast<std::uint64_t>(field);
  };
  const auto bytes = [&](int n) { return "VHDX metadata, entry at byte " + std::to_string(32 * n) + ": "; };
  EXPECT_EQ(with<std::uint64_t>(metadata_at, 0), damaged("Damaged", "VHDX metadata, bytes 0..7: not \"metadata\""));
  EXPECT_EQ(with<std::uint16_t>(metadata_at + 10, 2048),
            damaged("Damaged", "VHDX metadata, bytes 10..11: 2048 entries"));
  const char* names[] = {"file parameters", "virtual disk size", "virtual disk id", "logical sector size",
                         "physical sector size"};
  for (int n = 1; n <= 5; ++n) {
    copy();
    test::flip_byte(bad, item(n, 0));
    test::put<std::uint32_t>(bad, item(n, 24), 0);
    EXPECT_EQ(why_not(bad), damaged("Damaged", std::string("VHDX metadata, there is no item \"") + names[n - 1] + '"'));
    test::put<std::uint32_t>(bad, item(n, 24), 4);
    EXPECT_EQ(
        why_not(bad),
        "UnsupportedFeature: bad needs a feature of VHDX that kiln does not know; convert it with the program that "
        "made it to a plain VHDX; " +
            bytes(n) + "an unknown required item");
    EXPECT_EQ(with<std::uint32_t>(item(n, 20), 3),
              damaged("Damaged", bytes(n) + "the " + names[n - 1] + " has 3 bytes"));
  }
  EXPECT_EQ(with<std::uint32_t>(item(5, 24), 14), damaged("UnsupportedFeature", bytes(5) + "unknown flags 0xe"));
  EXPECT_EQ(with<std::uint32_t>(item(1, 16), 65535), damaged("Damaged", bytes(1) + "8 bytes at byte 65535"));
  EXPECT_EQ(with<std::uint32_t>(item(1, 16), 0xffffffff),
            damaged("Damaged", bytes(1) + "8 bytes at byte 4294967295, past the region's end"));
  EXPECT_EQ(with<std::uint32_t>(item(2, 16), 65536 + 4),
            damaged("Overlap", bytes(2) + "its item lies on that of the entry at byte 32"));
  copy();
  const auto fourth = test::sectors_of(bad, item(4, 0));
  File::open_write(bad).write_at(item(5, 0), std::span(fourth).first(16));
  EXPECT_EQ(why_not(bad), damaged("Damaged", bytes(5) + "the same item as the entry at byte 128"));
}

TEST_F(VhdxDamage, SizesOutOfAllBoundsAreRefused) {
  const std::uint64_t block = metadata_at + 64 * KiB, size = block + 8, logical = block + 32, physical = block + 36;
  const auto bytes = [](int at) { return "VHDX metadata, entry at byte " + std::to_string(at) + ": "; };
  for (const std::uint32_t n : {0u, 1u, 512u << 10, 3u << 20, 512u << 20})
    EXPECT_EQ(with<std::uint32_t>(block, n),
              damaged("Damaged", bytes(32) + "a block size of " + std::to_string(n) + " bytes"));
  EXPECT_EQ(with<std::uint32_t>(block + 4, 8), damaged("UnsupportedFeature", bytes(32) + "unknown flags 0x8"));
  EXPECT_EQ(with<std::uint64_t>(size, 0), damaged("InvalidFormatSize", bytes(64) + "a disk of 0 bytes"));
  EXPECT_EQ(with<std::uint64_t>(size, MiB + 1),
            damaged("InvalidFormatSize", bytes(64) + "a disk of 1048577 bytes with sectors of 512"));
  for (const std::uint64_t n : {(64 * MiB << 20) + 512, 2048 * MiB << 20, UINT64_MAX})
    EXPECT_EQ(with<std::uint64_t>(size, n), damaged("DiskTooLarge", bytes(64) + "a disk of " + std::to_string(n) +
                                                                        " bytes, a VHDX has at most 64 TiB"));
  EXPECT_EQ(with<std::uint64_t>(size, 64 * MiB << 20),
            damaged("Damaged", "VHDX block allocation table: its region has 1048576 bytes, the disk needs 537001976"));
  for (const std::uint32_t n : {0u, 520u, 1024u, 8192u}) {
    EXPECT_EQ(with<std::uint32_t>(logical, n),
              damaged("Damaged", bytes(128) + "sectors of " + std::to_string(n) + " bytes"));
    EXPECT_EQ(with<std::uint32_t>(physical, n),
              damaged("Damaged", bytes(160) + "sectors of " + std::to_string(n) + " bytes"));
  }
}

TEST_F(VhdxDamage, BlocksOutsideOrOnOneAnotherAreNamed) {
  const auto is = [](int n, const std::string& entry) {
    return "VHDX block allocation table, block " + std::to_string(n) + " of the disk is " + entry;
  };
  const auto lies = [](int n, std::uint64_t at, const std::string& on) {
    return damaged("Overlap", "VHDX block allocation table, block " + std::to_string(n) + " of the disk lies at byte " +
                                  std::to_string(at) + ", on " + on);
  };
  EXPECT_EQ(with_block(1, blocks_at | 6), lies(1, blocks_at, "another block"));
  EXPECT_EQ(with_block(0, MiB | 6), lies(0, MiB, "the VHDX log"));
  EXPECT_EQ(with_block(0, 2 * MiB | 6), lies(0, 2 * MiB, "the VHDX metadata region"));
  EXPECT_EQ(with_block(0, 3 * MiB | 6), lies(0, 3 * MiB, "the VHDX block allocation table"));
  EXPECT_EQ(with_block(0, 6), damaged("Overlap", is(0, "0x6: it lies on the VHDX header section")));
  EXPECT_EQ(with_block(1, 7 * MiB | 6), "Truncated: bad is truncated; get a complete copy of the file; " +
                                            is(1, "0x700006: it ends at byte 8388608, the file at 7340032"));
  EXPECT_EQ(with_block(1, (UINT64_MAX << 20) | 6).substr(0, 9), "Truncated");
  EXPECT_EQ(with_block(4, 7 * MiB | 7),
            damaged("Damaged", is(4, "0x700007: partially present, but the disk has no parent")));
  EXPECT_EQ(with_block(4, 5), damaged("UnsupportedFeature", is(4, "0x5: an unknown state")));
  EXPECT_EQ(with_block(4, 4), damaged("UnsupportedFeature", is(4, "0x4: an unknown state")));
  EXPECT_EQ(with_block(0, blocks_at | 0x80006), damaged("Damaged", is(0, "0x480006: reserved bits are set")));
}

TEST_F(VhdxDamage, WhatIsNotPresentReadsAsZeros) {
  File::open_write(dir / "raw").write_at(0, std::vector<std::byte>(MiB));
  // With a place in the file or without one: it is not looked at.
  const std::uint64_t entries[] = {0, 1, 2, 3, blocks_at | 1, blocks_at | 3, std::uint64_t{7} << 60};
  for (const std::uint64_t entry : entries) {
    EXPECT_EQ(with_block(0, entry), "opened");
    EXPECT_TRUE(test::same_as_raw(*vhdx().open(bad), dir / "raw")) << entry;
  }
}

// The entry of a sector bitmap means nothing without a parent; old QEMUs left bytes in it.
TEST_F(VhdxDamage, EntriesOfSectorBitmapsAreNotBlocks) {
  vhdx().create_with(dir / "large", std::uint64_t{5} << 30, {})->finish();
  test::put<std::uint64_t>(dir / "large", table_at + 4096 * 8, 7);
  EXPECT_EQ(why_not(dir / "large"), "opened");
  test::put<std::uint64_t>(dir / "large", table_at + 4097 * 8, 7);
  EXPECT_NE(why_not(dir / "large").find("block 4096 of the disk is 0x7"), std::string::npos);
}

TEST_F(VhdxDamage, CutAnywhereItIsRefused) {
  const std::uint64_t size = std::filesystem::file_size(dir / "good");
  for (std::uint64_t cut = 0; cut<size; cut += cut + 4096> size ? 511 : 300 * KiB - 31) {
    copy();
    test::cut_file(bad, cut);
    const std::string why = why_not(bad);
    EXPECT_TRUE(why.starts_with("Truncated") || why.starts_with("ChecksumMismatch") || cut < 8) << cut << ": " << why;
  }
}

TEST_F(VhdxDamage, AnyFlippedBitIsSeenOrHarmless) {
  copy();
  const std::pair<std::uint64_t, std::uint64_t> ranges[] = {{0, 16},
                                                            {64 * KiB, 80},
                                                            {128 * KiB, 80},
                                                            {192 * KiB, 80},
                                                            {metadata_at, 192},
                                                            {metadata_at + 64 * KiB, 8},
                                                            {metadata_at + 64 * KiB + 32, 4},
                                                            {table_at, 16}};
  for (const auto& [start, length] : ranges)
    for (std::uint64_t at = start; at < start + length; ++at) {
      const auto mask = static_cast<std::uint8_t>(1u << (at % 8));
      test::flip_byte(bad, at, mask);
      EXPECT_TRUE(right_or_refused()) << at;
      test::flip_byte(bad, at, mask);
    }
}

}  // namespace
}  // namespace kiln
