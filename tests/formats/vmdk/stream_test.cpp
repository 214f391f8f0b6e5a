// Files of compressed grains: as other programs write them, and damaged.

#include <libdeflate.h>

#include "formats/vmdk/vmdk_files.h"

namespace kiln {
namespace {

using test::KiB;
using test::MiB;
using test::put_le_at;
using test::vmdk;
using test::why_not;

using Bytes = std::vector<std::byte>;

/// A streamOptimized file of a disk of four grains and a half, made piece by piece.
struct Stream {
  static constexpr std::uint64_t capacity = 4 * 128 + 64;
  std::vector<std::size_t> order{0, 1, 3, 4};  ///< grain 2 is a hole
  bool footer = true;
  bool tables_first = false;
  bool rest_only = false;  ///< the last grain holds half a grain
  int level = 6;           ///< 0: stored

  Bytes content = Bytes(capacity * 512);
  std::array<std::uint32_t, 128 * 4> entries{};

  Stream() {
    for (const std::size_t g : {0u, 1u, 3u, 4u}) {
      const auto grain = std::span(content).subspan(g * 64 * KiB, g == 4 ? 32 * KiB : 64 * KiB);
      test::fill(grain, g == 1 ? test::Piece::Kind::random : test::Piece::Kind::text, g + 1);
    }
  }

  Bytes packed(std::size_t grain) const {
    Bytes plain(64 * KiB), out(80 * KiB);
    const std::size_t size = std::min<std::size_t>(64 * KiB, content.size() - grain * 64 * KiB);
    std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(grain * 64 * KiB), size, plain.begin());
    libdeflate_compressor* const c = libdeflate_alloc_compressor(level);
    out.resize(12 + libdeflate_zlib_compress(c, plain.data(), rest_only ? size : plain.size(), out.data() + 12,
                                             out.size() - 12));
    libdeflate_free_compressor(c);
    put_le<std::uint64_t>(out, 0, grain * 128);
    put_le<std::uint32_t>(out, 8, static_cast<std::uint32_t>(out.size() - 12));
    return out;
  }

  Bytes header(std::uint64_t directory) const {
    Bytes b(512);
    const std::array<std::uint32_t, 3> first{0x564d444b, 3, 0x30001};
    for (std::size_t i = 0; i < 3; ++i) put_le<std::uint32_t>(b, i * 4, first[i]);
    const std::array<std::uint64_t, 4> places{capacity, 128, 1, 1};
    for (std::size_t i = 0; i < 4; ++i) put_le<std::uint64_t>(b, 12 + i * 8, places[i]);
    put_le<std::uint32_t>(b, 44, 512);
    put_le<std::uint64_t>(b, 56, directory);
    put_le<std::uint64_t>(b, 64, 8);
    put_le<std::uint32_t>(b, 73, 0x0a0d200a);
    put_le<std::uint16_t>(b, 77, 1);
    return b;
  }

  static Bytes marker(std::uint32_t type, std::uint64_t sectors) {
    Bytes b(512);
    put_le<std::uint64_t>(b, 0, sectors);
    put_le<std::uint32_t>(b, 12, type);
    return b;
  }

  void write(const std::filesystem::path& path) {
    File file = File::create(path);
    std::uint64_t at = 8;
    const auto add = [&](const Bytes& bytes) {
      file.write_at(at * 512, bytes);
      at += (bytes.size() + 511) / 512;
    };
    for (const std::size_t g : order) {
      entries[g] = static_cast<std::uint32_t>(at);
      add(packed(g));
    }
    if (tables_first)
      file.truncate((entries[order.back()] * 512) + packed(order.back()).size());
    else
      add(marker(1, 4));
    std::uint64_t table_at = tables_first ? 2 : at, directory_at = tables_first ? 6 : at + 5;
    Bytes table(2048), directory(512);
    for (std::size_t i = 0; i < entries.size(); ++i) put_le(table, i * 4, entries[i]);
    put_le<std::uint32_t>(directory, 0, static_cast<std::uint32_t>(table_at));
    file.write_at(table_at * 512, table);
    if (!tables_first) file.write_at((table_at + 4) * 512, marker(2, 1));
    file.write_at(directory_at * 512, directory);
    at = directory_at + 1;
    if (footer) {
      add(marker(3, 1));
      add(header(directory_at));
      add(marker(0, 0));
    }
    file.write_at(0, header(footer ? UINT64_MAX : directory_at));
    const std::string text =
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
        "createType=\"streamOptimized\"\n\nRDONLY " +
        std::to_string(capacity) + " SPARSE \"call-me-stream.vmdk\"\nddb.uuid.parent=\"00000000\"\n";
    file.write_at(512, std::as_bytes(std::span(text)));
  }
};

class VmdkStream : public testing::Test {
 protected:
  void make() {
    stream.write(file);
    File::create(raw).write_at(0, stream.content);
  }
  void expect_right() {
    const auto disk = vmdk().open(file);
    EXPECT_TRUE(test::same_as_raw(*disk, raw));
    EXPECT_TRUE(test::same_as_raw(*disk, test::as_qemu_reads(file)));
    Bytes all(stream.content.size()), piece(1000);
    disk->read(0, all);
    EXPECT_EQ(all, stream.content);
    for (std::uint64_t at = 0; at < all.size(); at += piece.size()) {  // in small steps, too
      const auto part = std::span(piece).first(std::min<std::size_t>(piece.size(), all.size() - at));
      disk->read(at, part);
      EXPECT_EQ(std::memcmp(part.data(), all.data() + at, part.size()), 0) << at;
    }
  }
  std::uint64_t start(std::size_t grain) const { return stream.entries[grain] * std::uint64_t{512}; }

  test::TempDir dir;
  std::filesystem::path raw = dir / "raw", file = dir / "bad";
  Stream stream;
};

TEST_F(VmdkStream, IsRead) {
  make();
  expect_right();
  EXPECT_FALSE(vmdk().open(file)->extent_at(128 * KiB).data);
}

TEST_F(VmdkStream, MayHaveItsGrainsInAnyOrder) {
  stream.order = {4, 0, 3, 1};
  make();
  expect_right();
}

TEST_F(VmdkStream, MayLackAFooter) {
  stream.footer = false;
  make();
  expect_right();
}

TEST_F(VmdkStream, MayHoldStoredBlocks) {
  stream.level = 0;
  make();
  expect_right();
}

TEST_F(VmdkStream, MayHoldTheRestOfTheDiskOnlyInItsLastGrain) {
  stream.rest_only = true;
  make();
  expect_right();
}

TEST_F(VmdkStream, WithinAnotherFileIsRead) {
  make();
  const auto around = dir / "archive";
  const std::uint64_t size = std::filesystem::file_size(file);
  Bytes bytes(size);
  File::open_read(file).read_at(0, bytes);
  File::create(around).write_at(12345, bytes);
  const File archive = File::open_read(around);
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(archive.part(12345, size, "disk.vmdk")), raw));
}

TEST_F(VmdkStream, AFooterUnlikeTheHeaderIsRefused) {
  make();
  const std::uint64_t at = std::filesystem::file_size(file) - 1024;
  const auto with = [&](std::uint64_t field, std::uint64_t value) {
    const auto before = test::get_le_at<std::uint64_t>(file, at + field);
    put_le_at(file, at + field, value);
    const std::string why = why_not(file);
    put_le_at(file, at + field, before);
    return why;
  };
  EXPECT_EQ(with(12, 640), "Damaged: bad is damaged; VMDK footer: capacity 640, and the header says 576");
  EXPECT_EQ(with(20, 64), "Damaged: bad is damaged; VMDK footer: grain size 64, and the header says 128");
  EXPECT_EQ(with(28, 2), "Damaged: bad is damaged; VMDK footer: descriptor offset 2, and the header says 1");
  EXPECT_EQ(with(36, 2), "Damaged: bad is damaged; VMDK footer: descriptor size 2, and the header says 1");
  EXPECT_EQ(with(56, UINT64_MAX),
            "Damaged: bad is damaged; VMDK footer, bytes 56..63: the directory is at the end, again");
  EXPECT_EQ(with(0, 0).substr(0, 65), "Truncated: bad is truncated; VMDK footer: the header says that th");
  EXPECT_EQ(why_not(file), "read");
}

TEST_F(VmdkStream, AMarkerMustBeItsGrains) {
  make();
  const std::string where = "the VMDK grain of disk offset 0x30000, at byte " + hex(start(3)) + ": ";
  put_le_at<std::uint64_t>(file, start(3), 128);
  EXPECT_EQ(why_not(file), "Damaged: bad is damaged; " + where + "its marker says sector 128 of the disk");
  put_le_at<std::uint64_t>(file, start(3), 3 * 128);
  for (const std::uint32_t size : {0u, 131073u, UINT32_MAX}) {
    put_le_at(file, start(3) + 8, size);
    EXPECT_EQ(why_not(file),
              "Damaged: bad is damaged; " + where + "its marker says that " + std::to_string(size) + " bytes follow");
  }
  put_le_at<std::uint32_t>(file, start(3) + 8, static_cast<std::uint32_t>(start(4) - start(3)));
  EXPECT_EQ(why_not(file), "Overlap: bad is damaged; the VMDK grain of disk offset 0x30000, at byte " + hex(start(3)) +
                               ", overlaps metadata or another grain");
}

TEST_F(VmdkStream, AGrainMustDecodeToAGrain) {
  make();
  test::flip_byte(file, start(3) + 200);
  EXPECT_EQ(why_not(file), "Damaged: bad is damaged; the VMDK grain of disk offset 0x30000, at byte " + hex(start(3)) +
                               ": it does not decode to 65536 bytes");
}

TEST_F(VmdkStream, TwoEntriesOfOneGrainAreRefused) {
  stream.order = {0, 1, 3, 4};
  make();
  const std::uint64_t table =
      start(4) + 512 * ((test::get_le_at<std::uint32_t>(file, start(4) + 8) + 12 + 511) / 512 + 1);
  ASSERT_EQ(test::get_le_at<std::uint32_t>(file, table + 4), stream.entries[1]);
  put_le_at(file, table + 8, stream.entries[1]);
  EXPECT_EQ(why_not(file), "Overlap: bad is damaged; the VMDK grain of disk offset 0x20000, at sector " +
                               std::to_string(stream.entries[1]) + ", overlaps metadata or another grain");
}

TEST_F(VmdkStream, WithoutItsEndIsTruncated) {
  for (const bool tables_first : {false, true}) {  // as qemu-img lays it out: then the last grain ends the file
    stream.tables_first = tables_first;
    stream.footer = !tables_first;
    for (const std::uint64_t less : {1u, 511u, 512u, 1536u, 3000u}) {
      std::filesystem::remove(file);
      std::filesystem::remove(raw);
      make();
      ASSERT_EQ(why_not(file), "read");
      test::cut_file(file, std::filesystem::file_size(file) - less);
      EXPECT_EQ(test::code_of(file), "Truncated") << less;
      EXPECT_THROW(vmdk().inspect(file), Error) << less;
    }
  }
}

}  // namespace
}  // namespace kiln
