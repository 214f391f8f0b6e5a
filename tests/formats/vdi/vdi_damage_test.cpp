// Damaged and hostile files: one clear error, or the right bytes; never wrong ones.

#include <gtest/gtest.h>

#include "formats/vdi/vdi_files.h"

namespace kiln {
namespace {

using test::vdi;
using test::why_not;

const std::uint64_t MiB = 1 << 20;
const auto overwrite = std::filesystem::copy_options::overwrite_existing;

class VdiDamage : public testing::Test {
 protected:
  // QEMU's layout: block map at 512, blocks from 1024. Three blocks of data in a disk of five.
  VdiDamage() {
    test::write_raw(dir / "raw", {"disk", 5 * MiB, {{0, MiB}, {2 * MiB, 2 * MiB}}});
    test::qemu_from_raw(dir / "raw", dir / "dynamic", "vdi");
    test::qemu_from_raw(dir / "raw", dir / "static", "vdi", "static=on");
  }

  std::filesystem::path copy(const std::string& kind = "dynamic") const {
    std::filesystem::copy_file(dir / kind, dir / "bad", overwrite);
    return dir / "bad";
  }

  template <class T>
  std::string with(std::uint64_t at, T value) const {
    copy();
    test::put<T>(dir / "bad", at, value);
    return why_not(dir / "bad");
  }

  static std::string damaged(const std::string& code, const std::string& evidence) {
    return code + ": bad is damaged; get a sound copy of the file; " + evidence;
  }

  // The content as it should be, or an Error: true.
  testing::AssertionResult right_or_refused(const std::filesystem::path& file) const {
    try {
      return test::same_as_raw(*vdi().open(file), dir / "raw");
    } catch (const Error& e) {
      return e.code().empty() ? testing::AssertionFailure() << e.what() << " has no code" : testing::AssertionSuccess();
    }
  }

  test::TempDir dir;
};

TEST_F(VdiDamage, WhatNeedsAParentIsRefusedByName) {
  const std::string refusal =
      "ParentNeeded: bad is a differencing VDI: it holds only what differs from its parent; make one disk of it and "
      "its "
      "parent first (VBoxManage clonemedium), and give that; ";
  EXPECT_EQ(with<std::uint32_t>(76, 4), refusal + "VDI header, bytes 76..79: image type 4");
  EXPECT_EQ(with<std::uint32_t>(76, 3), refusal + "VDI header, bytes 76..79: image type 3");
  EXPECT_EQ(with<std::uint32_t>(436, 1), refusal + "VDI header, bytes 424..439: the UUID of a parent");
  EXPECT_EQ(with<std::uint32_t>(440, 1), refusal + "VDI header, bytes 440..455: the UUID of a parent");
  try {
    vdi().inspect(dir / "bad");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::refused);
  }
}

TEST_F(VdiDamage, WhatIsNotUnderstoodIsNamed) {
  const auto unsupported = [](const std::string& what, const std::string& evidence) {
    return "UnsupportedFeature: bad is a VDI that kiln does not read: " + what +
           "; copy it with a VirtualBox of today: VBoxManage clonemedium disk IN.vdi OUT.vdi; VDI header, bytes " +
           evidence;
  };
  const std::string version = "its version is not 1.1";
  EXPECT_EQ(with<std::uint32_t>(68, 0x00010000), unsupported(version, "68..71: version 1.0"));
  EXPECT_EQ(with<std::uint32_t>(68, 0x00000001), unsupported(version, "68..71: version 0.1"));
  EXPECT_EQ(with<std::uint32_t>(68, 0x00020000), unsupported(version, "68..71: version 2.0"));
  EXPECT_EQ(with<std::uint32_t>(80, 0x102), unsupported("it has an unknown flag", "80..83: image flags 0x102"));
  EXPECT_EQ(with<std::uint32_t>(80, 1), "opened");
  EXPECT_EQ(with<std::uint32_t>(360, 4096), unsupported("its sectors do not have 512 bytes", "360..363: 4096 bytes"));
  EXPECT_EQ(with<std::uint32_t>(76, 5),
            damaged("UnsupportedFeature", "VDI header, bytes 76..79: image type 5 is unknown"));
  EXPECT_EQ(with<std::uint32_t>(76, 0),
            damaged("UnsupportedFeature", "VDI header, bytes 76..79: image type 0 is unknown"));
  EXPECT_EQ(with<std::uint32_t>(64, 0),
            "FormatMismatch: bad is not a VDI; give the format that it has; VDI header, bytes 64..67: 0x0 instead of "
            "0xbeda107f");
}

TEST_F(VdiDamage, HeadersThatLieAreNamed) {
  EXPECT_EQ(with<std::uint32_t>(72, 383), damaged("Damaged", "VDI header, bytes 72..75: a header of 383 bytes"));
  for (const std::uint32_t size : {0u, 1u, 512u, 3u << 20, 0x80000000u})
    EXPECT_EQ(with<std::uint32_t>(376, size),
              damaged("Damaged", "VDI header, bytes 376..379: a block size of " + std::to_string(size) + " bytes"));
  for (const std::uint32_t size : {3u, 2u << 20, 0x80000000u})
    EXPECT_EQ(with<std::uint32_t>(380, size),
              damaged("Damaged", "VDI header, bytes 380..383: every block begins with " + std::to_string(size) +
                                     " bytes of its own"));
  EXPECT_EQ(with<std::uint32_t>(384, 4),
            damaged("Damaged", "VDI header, bytes 384..387: 4 blocks of 1048576 bytes for a disk of 5242880 bytes"));
  EXPECT_EQ(with<std::uint32_t>(340, 455),
            damaged("Overlap", "VDI header, bytes 340..343: the block map at byte 455, on the header"));
  EXPECT_EQ(with<std::uint32_t>(344, 531),
            damaged("Overlap", "VDI header, bytes 344..347: the data starts at byte 531, the block map ends at 532"));
  EXPECT_EQ(
      with<std::uint32_t>(340, 0xffffffff),
      damaged("Overlap", "VDI header, bytes 344..347: the data starts at byte 1024, the block map ends at 4294967315"));
  EXPECT_EQ(with<std::uint32_t>(384, 0xffffffff),
            damaged("Overlap",
                    "VDI header, bytes 344..347: the data starts at byte 1024, the block map ends at 17179869692"));
}

TEST_F(VdiDamage, SizesOutOfAllBoundsAreRefusedBeforeAnythingIsAllocated) {
  EXPECT_EQ(with<std::uint64_t>(368, 0), damaged("InvalidFormatSize", "VDI header, bytes 368..375: a disk of 0 bytes"));
  EXPECT_EQ(with<std::uint64_t>(368, UINT64_MAX),
            damaged("InvalidFormatSize", "VDI header, bytes 368..375: a disk of 18446744073709551615 bytes"));
  for (const std::uint64_t size : {(16 * MiB << 20) + 1, 64 * MiB << 20, 2048 * MiB << 20, std::uint64_t{INT64_MAX}})
    EXPECT_EQ(with<std::uint64_t>(368, size),
              damaged("DiskTooLarge", "VDI header, bytes 368..375: a disk of " + std::to_string(size) +
                                          " bytes, the limit is 16.0 TiB with blocks of 1048576 bytes"));
  EXPECT_EQ(
      with<std::uint64_t>(368, 16 * MiB << 20),
      damaged("Damaged", "VDI header, bytes 384..387: 5 blocks of 1048576 bytes for a disk of 17592186044416 bytes"));
}

TEST_F(VdiDamage, BlocksOutsideOrUsedTwiceAreNamed) {
  copy();
  test::set_map(dir / "bad", {0, 0xffffffff, 1, 0});
  EXPECT_EQ(why_not(dir / "bad"), damaged("Overlap", "VDI block map, entries 0 and 3: both are block 0"));
  copy();
  test::set_map(dir / "bad", {0, 3});
  EXPECT_EQ(
      why_not(dir / "bad"),
      "Truncated: bad is truncated; get a complete copy of the file; VDI block map, entry 1: block 3 ends at byte "
      "4195328, the file at 3146752");
  copy();
  test::set_map(dir / "bad", {0xfffffffd});
  EXPECT_EQ(why_not(dir / "bad").substr(0, 10), "Truncated:");
}

TEST_F(VdiDamage, AFileThatEndsEarlyIsTruncated) {
  for (const char* kind : {"dynamic", "static"}) {
    const auto bad = copy(kind);
    test::cut_file(bad, std::filesystem::file_size(bad) - 1);
    EXPECT_EQ(why_not(bad).substr(0, 10), "Truncated:") << kind;
  }
  const auto bad = copy();
  test::cut_file(bad, 520);
  EXPECT_EQ(
      why_not(bad),
      "Truncated: bad is truncated; get a complete copy of the file; the VDI block map ends at byte 532, the file "
      "at 520");
  test::cut_file(bad, 100);
  EXPECT_EQ(
      why_not(bad),
      "Truncated: bad is truncated; get a complete copy of the file; the VDI header ends at byte 472, the file at "
      "100");
  test::cut_file(bad, 10);
  EXPECT_EQ(why_not(bad).substr(0, 15), "FormatMismatch:");
}

TEST_F(VdiDamage, CutAnywhereItIsRefusedOrWhole) {
  for (const std::string kind : {"dynamic", "static"}) {
    const std::uint64_t size = std::filesystem::file_size(dir / kind);
    for (std::uint64_t cut = 0; cut < size; cut += cut < 2048 ? 97 : 1024 * 1024 - 31) {
      const auto bad = copy(kind);
      test::cut_file(bad, cut);
      EXPECT_TRUE(right_or_refused(bad)) << kind << " cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace kiln
