// Damaged and hostile sparse files: the exact refusal, and never a wrong byte.

#include "formats/vmdk/vmdk_files.h"

namespace kiln {
namespace {

using test::KiB;
using test::MiB;
using test::put_le_at;
using test::vmdk;
using test::why_not;

const auto overwrite = std::filesystem::copy_options::overwrite_existing;

// A disk of 1 MiB and one sector in monolithicSparse, as kiln writes it: descriptor at sector 1, redundant directory
// at 21, its table at 22, directory at 26, table at 27, grains from 128 on: those of 0, 192 and 256 KiB, and the last.
class VmdkDamage : public testing::Test {
 protected:
  static constexpr std::uint64_t redundant = 22 * 512, table = 27 * 512;

  VmdkDamage() {
    test::write_raw(dir / "raw",
                    {"disk", MiB + 512, {{0, 64 * KiB, test::Piece::Kind::text}, {192 * KiB, 128 * KiB}, {MiB, 512}}});
    test::write_vmdk(dir / "raw", dir / "good", test::vmdk_options("monolithicSparse"));
  }

  std::filesystem::path copy() const {
    std::filesystem::copy_file(dir / "good", dir / "bad", overwrite);
    return dir / "bad";
  }
  template <class T>
  std::string with(std::uint64_t at, T value) const {
    const auto bad = copy();
    put_le_at(bad, at, value);
    return why_not(bad);
  }
  /// In both tables.
  std::string with_entry(std::size_t grain, std::uint32_t value) const {
    const auto bad = copy();
    put_le_at(bad, table + grain * 4, value);
    put_le_at(bad, redundant + grain * 4, value);
    return why_not(bad);
  }
  // The content as it should be, or an Error: true.
  testing::AssertionResult right_or_refused(const std::filesystem::path& file) const {
    try {
      return test::same_as_raw(*vmdk().open(file), dir / "raw");
    } catch (const Error&) {
      return testing::AssertionSuccess();
    }
  }

  test::TempDir dir;
};

TEST_F(VmdkDamage, TheHeadersLimitsAreChecked) {
  EXPECT_EQ(with<std::uint32_t>(4, 4),
            "UnsupportedFeature: bad is a VMDK of a kind that kiln does not read; VMDK header, bytes 4..7: version 4");
  EXPECT_EQ(with<std::uint32_t>(8, 0x80003),
            "UnsupportedFeature: bad is a VMDK of a kind that kiln does not read; VMDK header, bytes 8..11: flags "
            "0x80003");
  EXPECT_EQ(with<std::uint16_t>(77, 2),
            "UnsupportedFeature: bad is a VMDK of a kind that kiln does not read; VMDK header, bytes 77..78: "
            "compression 2");
  EXPECT_EQ(with<std::uint16_t>(77, 1),
            "Damaged: bad is damaged; VMDK header, bytes 77..78: compression 1 and flags 0x3");
  for (const std::uint64_t size : {0u, 3u, 4u, 8192u})
    EXPECT_EQ(with(20, size), "Damaged: bad is damaged; VMDK header, bytes 20..27: a grain size of " +
                                  std::to_string(size) + " sectors");
  for (const std::uint32_t entries : {0u, 64u, 500u, 8192u})
    EXPECT_EQ(with(44, entries), "Damaged: bad is damaged; VMDK header, bytes 44..47: grain tables of " +
                                     std::to_string(entries) + " entries");
  EXPECT_EQ(with<std::uint64_t>(36, 129),
            "Damaged: bad is damaged; VMDK header, bytes 36..43: a descriptor of 129 sectors");
  for (const std::uint64_t capacity : {std::uint64_t{1} << 40, std::uint64_t{INT64_MAX}, UINT64_MAX})
    EXPECT_EQ(with(12, capacity), "InvalidFormatSize: bad is damaged; VMDK header, bytes 12..19: a capacity of " +
                                      std::to_string(capacity) + " sectors in grains of 128");
}

TEST_F(VmdkDamage, LineEndsThatATransferChangedAreSeen) {
  EXPECT_EQ(with<std::uint32_t>(73, 0x0a0a200d),
            "Damaged: bad is damaged; VMDK header, bytes 73..76: line ends were changed: the file was transferred as "
            "text, not as binary");
}

TEST_F(VmdkDamage, ACapacityOf0HandsTheDiskToTheDescriptor) {
  auto bad = copy();
  put_le_at<std::uint64_t>(bad, 12, 0);
  test::put_text(bad, 512,
                 "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
                 "RW 16 FLAT \"/etc/passwd\" 0\n");
  EXPECT_EQ(why_not(bad),
            "ExternalExtent: bad leaves its content to what its descriptor names; VMDK header, bytes 12..19: a "
            "capacity of 0, with a descriptor at sector 1");
  put_le_at<std::uint64_t>(bad, 28, 0);
  EXPECT_EQ(why_not(bad), "InvalidFormatSize: bad is damaged; VMDK header, bytes 12..19: a capacity of 0");
  put_le_at<std::uint64_t>(bad, 28, 1);
  put_le_at<std::uint64_t>(bad, 12, 2049);
  EXPECT_EQ(why_not(bad),
            "ExternalExtent: bad names an extent that is not taken; VMDK descriptor, line 6: \"RW 16 FLAT "
            "\"/etc/passwd\" 0\": it is another file than the one that it is in");
}

TEST_F(VmdkDamage, WhatLiesPastTheEndIsMissing) {
  const std::string size = std::to_string(std::filesystem::file_size(dir / "good"));
  EXPECT_EQ(with<std::uint64_t>(28, 0x1000000),
            "Truncated: bad is truncated; the VMDK descriptor ends at byte "
            "8589944832, the file at " +
                size);
  EXPECT_EQ(with<std::uint64_t>(48, 0x1000000),
            "Truncated: bad is truncated; the VMDK redundant grain directory ends "
            "at byte 8589935104, the file at " +
                size);
  EXPECT_EQ(with<std::uint64_t>(56, UINT64_MAX - 1).substr(0, 62),
            "Truncated: bad is truncated; the VMDK grain directory ends at ");
  EXPECT_EQ(with<std::uint64_t>(64, 0x1000000).substr(0, 10), "Truncated:");
  EXPECT_EQ(with<std::uint64_t>(56, 0), "Damaged: bad is damaged; VMDK header, bytes 56..59: no grain directory");
  EXPECT_EQ(with<std::uint32_t>(26 * 512, 0x7fffffff),
            "Truncated: bad is truncated; the VMDK grain table of directory entry 0 ends at byte 1099511629312, the "
            "file at " +
                size);
  EXPECT_EQ(with_entry(3, 0x7fffffff),
            "Truncated: bad is truncated; the VMDK grain of disk offset 0x30000 ends at byte 1099511692800, the file "
            "at " +
                size);
}

TEST_F(VmdkDamage, NothingSharesASector) {
  // On the header, the descriptor, the redundant directory, its table, the directory, the table.
  for (const std::uint32_t metadata : {1u, 20u, 21u, 25u, 26u, 30u})
    EXPECT_EQ(with_entry(3, metadata), "Overlap: bad is damaged; the VMDK grain of disk offset 0x30000, at sector " +
                                           std::to_string(metadata) + ", overlaps metadata or another grain");
  // One grain twice, and two that share some sectors.
  for (const std::uint32_t other : {128u, 129u, 383u})
    EXPECT_EQ(with_entry(4, other), "Overlap: bad is damaged; the VMDK grain of disk offset 0x40000, at sector " +
                                        std::to_string(other) + ", overlaps metadata or another grain");
  EXPECT_EQ(with<std::uint32_t>(26 * 512, 22),
            "Overlap: bad is damaged; the VMDK grain table of redundant directory "
            "entry 0, at sector 22, overlaps other metadata");
  EXPECT_EQ(with<std::uint64_t>(48, 27),
            "Overlap: bad is damaged; the VMDK redundant grain directory at sector 27 overlaps other metadata");
  EXPECT_EQ(with<std::uint64_t>(28, 10),
            "Overlap: bad is damaged; the VMDK grain directory at sector 26 overlaps other metadata");
}

TEST_F(VmdkDamage, TheRedundantTablesMustAgree) {
  EXPECT_EQ(with<std::uint32_t>(redundant, 256),
            "Damaged: bad is damaged; VMDK grain tables from 0 on, at sectors 27 and 22: the redundant ones do not say "
            "the same");
  EXPECT_EQ(with<std::uint32_t>(21 * 512, 0),
            "Damaged: bad is damaged; VMDK grain directory entry 0: sector 27, the redundant one says 0");
  // Without the flag nobody looks at it.
  auto bad = copy();
  put_le_at<std::uint32_t>(bad, 8, 1);
  put_le_at<std::uint32_t>(bad, redundant, 256);
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(bad), dir / "raw"));
}

TEST_F(VmdkDamage, ADirectoryThatIsNamedTwiceIsOne) {
  const auto mkimg = copy();  // FreeBSD's
  put_le_at<std::uint64_t>(mkimg, 48, 26);
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(mkimg), dir / "raw"));
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(mkimg), test::as_qemu_reads(mkimg)));
}

TEST_F(VmdkDamage, AMachineThatWasNotClosedMayHaveLeftTheRedundantTablesBehind) {
  const auto bad = copy();
  put_le_at<std::uint32_t>(bad, redundant + 3 * 4, 0);
  put_le_at<std::uint8_t>(bad, 72, 1);
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(bad), dir / "raw"));
}

TEST_F(VmdkDamage, AnEntryOf1IsAGrainOfZerosWhereTheFlagSaysSo) {
  auto bad = copy();
  for (const std::uint64_t at : {table, redundant}) put_le_at<std::uint32_t>(bad, at + 3 * 4, 1);
  put_le_at<std::uint32_t>(bad, 8, 7);
  put_le_at<std::uint32_t>(bad, 4, 2);
  File::open_write(dir / "raw").write_at(192 * KiB, std::vector<std::byte>(64 * KiB));
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(bad), dir / "raw"));
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(bad), test::as_qemu_reads(bad)));
  EXPECT_FALSE(vmdk().open(bad)->extent_at(192 * KiB).data);
}

TEST_F(VmdkDamage, AnUncleanShutdownIsAFinding) {
  const auto bad = copy();
  put_le_at<std::uint8_t>(bad, 72, 1);
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(bad), dir / "raw"));
  const auto findings = vmdk().inspect(bad).findings;
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].severity, Severity::warning);
  EXPECT_EQ(findings[0].evidence, std::vector<std::string>{"bad: VMDK header, byte 72: unclean shutdown"});
}

TEST_F(VmdkDamage, TheDescriptorMustAgreeWithTheHeader) {
  for (const std::uint64_t capacity : {2050u, 2175u, 2177u}) EXPECT_EQ(with(12, capacity).substr(0, 8), "Damaged:");
  EXPECT_EQ(with<std::uint64_t>(12, 2048),
            "Damaged: bad is damaged; VMDK header, bytes 12..19: a capacity of 2048 sectors, and the descriptor says "
            "2049");
  // Rounded up to a whole grain, as VirtualBox does. The disk is as large as it says in the descriptor.
  const auto rounded = copy();
  File::open_write(rounded).truncate(std::filesystem::file_size(rounded) + 64 * KiB);
  put_le_at<std::uint64_t>(rounded, 12, 17 * 128);
  EXPECT_EQ(vmdk().open(rounded)->size(), MiB + 512);
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(rounded), dir / "raw"));
}

/// Its extent is the file that it is in, whatever name stands there: of VMware on Windows, or of Xen Orchestra.
TEST_F(VmdkDamage, TheNamesInADescriptorWithinTheDiskMeanNothing) {
  for (const std::string& text :
       {std::string("# Disk DescriptorFile\nversion=1\nencoding=\"GBK\"\nCID=1\nparentCID=ffffffff\n"
                    "createType=\"monolithicSparse\"\nRW 2049 SPARSE \"\xd0\xc2.vmdk\"\n"),
        std::string("# Disk DescriptorFile\n    version=1\n    CID=1\n    parentCID=ffffffff\n"
                    "    createType=\"monolithicSparse\"\n    RW 2049 SPARSE \"a.vmdk\"\n")}) {
    const auto file = copy();
    test::put_text(file, 512, text + std::string(10 * KiB - text.size(), '\0'));
    EXPECT_EQ(why_not(file), "read");
    EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), dir / "raw"));
  }
}

TEST_F(VmdkDamage, AnExtentOfASplitDiskAloneIsNoDisk) {
  const auto bad = copy();
  File::open_write(bad).write_at(512, std::vector<std::byte>(20 * 512));
  EXPECT_EQ(why_not(bad),
            "UnsupportedFeature: bad is a part of a disk: what belongs to it says the descriptor, another file; VMDK "
            "header, bytes 28..43: no descriptor within");
  put_le_at<std::uint64_t>(bad, 0, 0xcafebabe);
  put_le_at<std::uint64_t>(bad, 8, 0x0000000200000001);
  EXPECT_EQ(why_not(bad).substr(0, 54), "UnsupportedFeature: bad is a part of a disk: what belo");
}

TEST_F(VmdkDamage, CutAnywhereItIsRefusedOrWhole) {
  const std::uint64_t size = std::filesystem::file_size(dir / "good");
  for (std::uint64_t cut = 0; cut < size; cut += cut < 16 * KiB || cut + KiB > size ? 97 : 16 * KiB - 31) {
    const auto bad = copy();
    test::cut_file(bad, cut);
    EXPECT_TRUE(right_or_refused(bad)) << cut;
  }
}

TEST_F(VmdkDamage, AnyFlippedBitOfTheTablesIsSeenOrHarmless) {
  const auto bad = copy();
  for (std::uint64_t at = 0; at < 128 * 512; at += at < 80 ? 1 : 61) {
    const auto mask = static_cast<std::uint8_t>(1u << (at % 8));
    test::flip_byte(bad, at, mask);
    if ((at >= redundant && at < redundant + 2048) || (at >= table && at < table + 2048))
      EXPECT_THROW(vmdk().inspect(bad), Error) << at;
    else
      EXPECT_TRUE(right_or_refused(bad)) << at;
    test::flip_byte(bad, at, mask);
  }
}

}  // namespace
}  // namespace kiln
