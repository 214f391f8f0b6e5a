// The files of a disk that consists of several: where they are, what they are, and split and host sparse extents.

#include <sys/stat.h>

#include "formats/vmdk/vmdk_files.h"

namespace kiln {
namespace {

using test::KiB;
using test::MiB;
using test::put_le_at;
using test::vmdk;
using test::why_not;

class VmdkBeside : public testing::Test {
 protected:
  void describe(const std::string& type, const std::string& extents) {
    std::filesystem::remove(file);
    File::create(file);
    test::put_text(file, 0,
                   "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"" + type +
                       "\"\n# Extent description\n" + extents);
  }
  void describe_flat() { describe("monolithicFlat", "RW 2048 FLAT \"flat\" 0\n"); }

  test::TempDir dir;
  const std::filesystem::path file = dir / "disk.vmdk", flat = dir / "flat";
};

TEST_F(VmdkBeside, AFlatFileMustBeOneOfItsOwn) {
  describe_flat();
  EXPECT_EQ(why_not(file),
            "ExternalExtent: an extent of disk.vmdk is not there; VMDK descriptor: extent \"flat\": No such file or "
            "directory");
  const auto refused_as = [&](const std::string& why) {
    EXPECT_EQ(why_not(file),
              "ExternalExtent: disk.vmdk names an extent that is not taken; VMDK descriptor: extent "
              "\"flat\" " +
                  why);
    std::filesystem::remove(flat);
  };
  test::write_raw(dir / "secret", {"", MiB, {{0, MiB}}});
  std::filesystem::create_symlink(dir / "secret", flat);
  refused_as("is no regular file");
  std::filesystem::create_symlink("secret", flat);
  refused_as("is no regular file");
  std::filesystem::create_directory(flat);
  refused_as("is no regular file");
  ASSERT_EQ(::mkfifo(flat.c_str(), 0600), 0);
  refused_as("is no regular file");
  std::filesystem::create_hard_link(file, flat);
  refused_as("is the same file as another one of the disk");
  test::write_raw(flat, {"", MiB - 1, {}});
  EXPECT_EQ(why_not(file), "Truncated: flat is truncated; the VMDK extent ends at byte 1048576, the file at 1048575");
}

TEST_F(VmdkBeside, TheDescriptorIsNoExtentAndNoFileIsTwo) {
  test::write_raw(flat, {"", MiB, {{0, 4096}}});
  std::filesystem::create_hard_link(flat, dir / "again");
  describe("twoGbMaxExtentFlat", "RW 2048 FLAT \"flat\" 0\nRW 2048 FLAT \"again\" 0\n");
  EXPECT_EQ(why_not(file).substr(0, 15), "ExternalExtent:");
  describe("monolithicFlat", "RW 1 FLAT \"disk.vmdk\" 0\n");
  EXPECT_EQ(why_not(file).substr(0, 15), "ExternalExtent:");
}

TEST_F(VmdkBeside, ADescriptorWithinAnotherFileHasNothingBesideIt) {
  test::write_raw(flat, {"", MiB, {{0, 4096}}});
  describe_flat();
  ASSERT_EQ(why_not(file), "read");
  const File whole = File::open_read(file);
  try {
    vmdk().open(whole.part(0, whole.size(), "disk.vmdk"));
    ADD_FAILURE() << "it was opened";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), "ExternalExtent");
    EXPECT_EQ(e.failure(), Failure::refused);
  }
}

TEST_F(VmdkBeside, SplitSparseExtentsMayHaveZerosBetween) {
  test::write_raw(dir / "a.raw", {"a", 2 * MiB, {{64 * KiB, 64 * KiB}}});
  test::write_raw(dir / "b.raw", {"b", MiB + 512, {{MiB - 512, 1024, test::Piece::Kind::text}}});
  test::write_vmdk(dir / "a.raw", dir / "a", test::vmdk_options("monolithicSparse"));
  test::write_vmdk(dir / "b.raw", dir / "b", test::vmdk_options("streamOptimized"));
  describe("twoGbMaxExtentSparse", "RW 4096 SPARSE \"a\"\nRW 10 ZERO\nRW 2049 SPARSE \"b\"\n");
  File raw = File::create(dir / "raw");
  raw.truncate((4096 + 10 + 2049) * 512);
  std::vector<std::byte> bytes(2 * MiB);
  File::open_read(dir / "a.raw").read_at(0, bytes);
  raw.write_at(0, bytes);
  bytes.resize(MiB + 512);
  File::open_read(dir / "b.raw").read_at(0, bytes);
  raw.write_at(4106 * 512, bytes);
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), dir / "raw"));
  describe("twoGbMaxExtentSparse", "RW 4095 SPARSE \"a\"\nRW 2049 SPARSE \"b\"\n");
  EXPECT_EQ(why_not(file),
            "Damaged: a is damaged; VMDK header, bytes 12..19: a capacity of 4096 sectors, and the "
            "descriptor says 4095");
  describe("twoGbMaxExtentSparse", "RW 4096 SPARSE \"raw\"\n");
  EXPECT_EQ(why_not(file), "FormatMismatch: raw is damaged; bytes 0..3: neither \"KDMV\" nor \"COWD\"");
}

/// A host's sparse extent: grains of one sector, 4096 of them in a table.
class VmdkHost : public VmdkBeside {
 protected:
  static constexpr std::uint32_t capacity = 10000, grain = 8;
  void make() {
    test::write_raw(dir / "raw", {"", capacity * 512, {{0, 4096}, {12288, 8192}, {(capacity - 8) * 512, 4096}}});
    File out = File::create(cow);
    const std::array<std::uint32_t, 8> header{0x44574f43, 1, 3, capacity, grain, 4, 1, 100};
    for (std::size_t i = 0; i < header.size(); ++i) put_le_at(cow, i * 4, header[i]);
    out.truncate(100 * 512);
    put_le_at<std::uint32_t>(cow, 2048, 5);
    std::uint32_t next = 40;
    for (const std::uint64_t g : {0u, 3u, 4u, capacity / grain - 1}) {
      std::vector<std::byte> bytes(grain * 512);
      File::open_read(dir / "raw").read_at(g * bytes.size(), bytes);
      out.write_at(next * 512, bytes);
      put_le_at(cow, 5 * 512 + g * 4, next);
      next += grain;
    }
    describe("vmfsSparse", "RW 10000 VMFSSPARSE \"x-delta.vmdk\"\n");
  }
  const std::filesystem::path cow = dir / "x-delta.vmdk";
};

TEST_F(VmdkHost, ExtentsAreRead) {
  make();
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), dir / "raw"));
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), test::as_qemu_reads(file)));
  EXPECT_EQ(vmdk().inspect(file).variant, "vmfsSparse");
  put_le_at<std::uint32_t>(cow, 1648, 1);
  EXPECT_EQ(vmdk().inspect(file).findings.size(), 1u);
}

TEST_F(VmdkHost, ExtentsAloneAreRefused) {
  make();
  EXPECT_EQ(why_not(cow),
            "UnsupportedFeature: x-delta.vmdk is a part of a disk: what belongs to it says the descriptor, "
            "another file; bytes 0..3: \"COWD\", an extent of an ESX host");
}

TEST_F(VmdkHost, ExtentsAreChecked) {
  make();
  const auto with = [&](std::uint64_t at, std::uint32_t value) {
    const auto before = test::get_le_at<std::uint32_t>(cow, at);
    put_le_at(cow, at, value);
    const std::string why = why_not(file);
    put_le_at(cow, at, before);
    return why;
  };
  EXPECT_EQ(with(4, 2).substr(0, 19), "UnsupportedFeature:");
  EXPECT_EQ(with(12, 0), "InvalidFormatSize: x-delta.vmdk is damaged; COWD header, bytes 12..15: a capacity of 0");
  EXPECT_EQ(with(12, 10001),
            "Damaged: x-delta.vmdk is damaged; COWD header, bytes 12..15: a capacity of 10001 sectors, "
            "and the descriptor says 10000");
  EXPECT_EQ(with(16, 3), "Damaged: x-delta.vmdk is damaged; COWD header, bytes 16..19: a grain size of 3 sectors");
  EXPECT_EQ(with(20, 0), "Damaged: x-delta.vmdk is damaged; COWD header, bytes 20..23: no grain directory");
  EXPECT_EQ(with(20, 1).substr(0, 8), "Overlap:");
  EXPECT_EQ(with(20, 1000).substr(0, 10), "Truncated:");
  EXPECT_EQ(with(24, 0),
            "Damaged: x-delta.vmdk is damaged; COWD header, bytes 24..27: a grain directory of 0 entries for 1 tables");
  EXPECT_EQ(with(2048, 1000).substr(0, 10), "Truncated:");
  EXPECT_EQ(with(5 * 512, 1).substr(0, 8), "Overlap:");
  EXPECT_EQ(with(5 * 512, 48).substr(0, 8), "Overlap:");
  EXPECT_EQ(with(5 * 512, 41).substr(0, 8), "Overlap:");
  EXPECT_EQ(with(5 * 512, 1000).substr(0, 10), "Truncated:");
  EXPECT_EQ(why_not(file), "read");
}

TEST_F(VmdkBeside, AHostsFlatDiskIsRead) {
  test::write_raw(dir / "vm-flat.vmdk", {"", MiB, {{0, 4096}, {MiB - 512, 512}}});
  describe("vmfs", "RW 2048 VMFS \"vm-flat.vmdk\"\n");
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), dir / "vm-flat.vmdk"));
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), test::as_qemu_reads(file)));
  describe("vmfs", "RW 2048 VMFS \"vm-flat.vmdk\" 0\n");
  EXPECT_EQ(why_not(file).substr(0, 15), "ExternalExtent:");
}

}  // namespace
}  // namespace kiln
