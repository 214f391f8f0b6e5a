// What kiln reads is what qemu-img reads; what kiln writes, qemu-img reads back.

#include <gtest/gtest.h>

#include <chrono>

#include "formats/vhdx/vhdx_files.h"

namespace kiln {
namespace {

using test::vhdx;
using test::write_vhdx;

const std::uint64_t KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, TiB = GiB << 10;

// qemu-img compare reads every byte of a VHDX, zeros as well: it is for small disks.
void qemu_agrees(const std::filesystem::path& raw, const std::filesystem::path& file) {
  test::qemu_img({"check", "-f", "vhdx", file.string()});
  if (std::filesystem::file_size(raw) < 100 * MiB)
    test::qemu_img({"compare", "-f", "raw", "-F", "vhdx", raw.string(), file.string()});
  else
    EXPECT_TRUE(test::same_as_raw(test::RawDisk(test::as_qemu_reads(file)), raw));
}

void expect_reads_as_qemu(const test::DiskShape& shape, const std::string& options) {
  SCOPED_TRACE(shape.name + ", " + options);
  test::TempDir dir;
  test::write_raw(dir / "raw", shape);
  test::qemu_from_raw(dir / "raw", dir / "disk", "vhdx", options);
  EXPECT_TRUE(test::same_as_raw(*vhdx().open(dir / "disk"), test::as_qemu_reads(dir / "disk")));
  const Inspection found = vhdx().inspect(dir / "disk");
  EXPECT_EQ(found.variant, options.find("fixed") != std::string::npos ? "fixed" : "dynamic");
  EXPECT_TRUE(found.findings.empty());
  EXPECT_EQ(found.details.at("creator").substr(0, 4), "QEMU");
}

// Two chunks of 4 GiB, between whose blocks' entries lies one of a bitmap.
const test::DiskShape two_chunks{
    "two-chunks", 9 * GiB, {{4 * GiB - 4 * KiB, 8 * KiB}, {5 * GiB, MiB}, {8 * GiB, 512}, {9 * GiB - 512, 512}}};

TEST(Vhdx, ReadsWhatQemuWrote) {
  for (const test::DiskShape& shape : test::sample_disks(true))
    if (shape.name != "sparse") expect_reads_as_qemu(shape, "subformat=dynamic");
  expect_reads_as_qemu(two_chunks, "block_size=1M");
}

TEST(Vhdx, ReadsEveryVariantThatQemuWrites) {
  const test::DiskShape shape{"odd", 5 * MiB + 777, {{0, 100 * KiB}, {2 * MiB, 64 * KiB}, {5 * MiB, 777}}};
  for (const char* options : {"subformat=fixed,block_size=1M", "subformat=fixed,block_size=32M", "block_size=1M",
                              "block_size=256M,log_size=3M", "block_size=2M,block_state_zero=off"})
    expect_reads_as_qemu(shape, options);
}

TEST(Vhdx, QemuReadsWhatItWrote) {
  for (const test::DiskShape& shape : test::sample_disks()) {
    if (shape.name == "sparse") continue;  // the one of two chunks is, too
    SCOPED_TRACE(shape.name);
    test::TempDir dir;
    test::write_raw(dir / "raw", shape);
    write_vhdx(dir / "raw", dir / "disk");
    qemu_agrees(dir / "raw", dir / "disk");
    EXPECT_TRUE(test::same_as_raw(*vhdx().open(dir / "disk"), dir / "raw"));
    EXPECT_TRUE(vhdx().inspect(dir / "disk").findings.empty());
  }
}

TEST(Vhdx, QemuReadsEveryBlockSizeThatItWrites) {
  const auto shapes = test::sample_disks();
  for (const std::uint64_t size : {MiB, 2 * MiB, 32 * MiB, 256 * MiB}) {
    SCOPED_TRACE(size);
    test::TempDir dir;
    test::write_raw(dir / "raw",
                    size == MiB ? two_chunks : *std::ranges::find(shapes, "islands", &test::DiskShape::name));
    write_vhdx(dir / "raw", dir / "disk", size);
    qemu_agrees(dir / "raw", dir / "disk");
    EXPECT_TRUE(test::same_as_raw(*vhdx().open(dir / "disk"), dir / "raw"));
    EXPECT_EQ(vhdx().inspect(dir / "disk").details.at("block_size"), std::to_string(size));
  }
}

TEST(Vhdx, QemuTellsTheSameSize) {
  for (const std::uint64_t size : {std::uint64_t{512}, 5 * MiB + 512, 2 * TiB, 64 * TiB}) {
    test::TempDir dir;
    vhdx().create_with(dir / "disk", size, {})->finish();
    const std::string info = test::qemu_img({"info", "-f", "vhdx", "--output=json", (dir / "disk").string()});
    EXPECT_NE(info.find("\"virtual-size\": " + std::to_string(size) + ","), std::string::npos) << info;
    const Inspection found = vhdx().inspect(dir / "disk");
    EXPECT_EQ(found.virtual_size, size);
    EXPECT_EQ(found.details.at("block_size"), std::to_string(size <= 4 * TiB ? MiB : 16 * MiB));
  }
}

TEST(Vhdx, SaysWhichSizesDoNotFit) {
  test::TempDir dir;
  const auto why = [&](std::uint64_t size, std::uint64_t block) {
    try {
      vhdx().create_with(dir / "disk", size, {{"block_size", Value{Bytes{block}}}});
      return std::string("created");
    } catch (const Error& e) {
      return std::string(e.what()) + "; " + e.hint();
    }
  };
  EXPECT_EQ(why(64 * TiB + 1, 0), "a disk of 64.0 TiB does not fit a VHDX; a VHDX holds up to 64 TiB: use qcow2");
  EXPECT_EQ(why(0, 0), "a disk of 0 B does not fit a VHDX; a VHDX holds up to 64 TiB: use qcow2");
  for (const std::uint64_t block : {512 * KiB, 3 * MiB, 512 * MiB})
    EXPECT_EQ(why(MiB, block), "block_size " + std::to_string(block) +
                                   " is not a power of two from 1M to 256M; leave it out, or write for example "
                                   "block_size = \"8M\"");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Vhdx, TheSameContentGivesTheSameBytes) {
  test::TempDir dir;
  test::write_raw(dir / "raw", test::sample_disks()[6]);
  write_vhdx(dir / "raw", dir / "a", 8 * MiB);
  write_vhdx(dir / "raw", dir / "b", 8 * MiB);
  EXPECT_TRUE(test::same_files(dir / "a", dir / "b"));
  test::flip_byte(dir / "raw", 100);
  write_vhdx(dir / "raw", dir / "c", 8 * MiB);
  for (const std::uint64_t id : {64 * KiB + 16, 64 * KiB + 32, test::metadata_at + 64 * KiB + 16})
    EXPECT_NE(test::get<std::uint64_t>(dir / "a", id), test::get<std::uint64_t>(dir / "c", id)) << "GUID at " << id;
}

TEST(Vhdx, AnOddSizeIsRoundedUpToASector) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"odd", 3 * MiB + 100, {{3 * MiB, 100}}});
  write_vhdx(dir / "raw", dir / "disk");
  test::cut_file(dir / "raw", 3 * MiB + 512);
  qemu_agrees(dir / "raw", dir / "disk");
}

TEST(Vhdx, HolesWithinABlockStayHoles) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"disk", 64 * MiB, {{0, 64 * KiB}, {40 * MiB, 64 * KiB}}});
  write_vhdx(dir / "raw", dir / "disk", 32 * MiB);
  const auto reader = vhdx().open(dir / "disk");
  EXPECT_EQ(reader->extent_at(0).length, 64 * KiB);
  EXPECT_FALSE(reader->extent_at(64 * KiB).data);
  EXPECT_EQ(pump(*reader, {}).data_bytes, 128 * KiB);
}

TEST(Vhdx, AnEmptyDiskOf64TiBTakesNoTime) {
  test::TempDir dir;
  test::qemu_img({"create", "-f", "vhdx", "-o", "block_size=1M,block_state_zero=off", (dir / "disk").string(), "64T"});
  const auto start = std::chrono::steady_clock::now();
  const auto reader = vhdx().open(dir / "disk");
  const auto sink = vhdx().create_with(dir / "out", reader->size(), {});
  BlockSink* const sinks[] = {sink.get()};
  EXPECT_EQ(pump(*reader, sinks).data_bytes, 0u);
  sink->finish();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

// QEMU counts sectors of 512 bytes in a disk of larger ones, and so reads an eighth of it: this one is made by hand.
TEST(Vhdx, SectorsOf4KiBAreReadWhole) {
  test::TempDir dir;
  const std::uint64_t size = 33 * GiB, chunk = 32 * GiB;
  test::write_raw(dir / "raw", {"disk", size, {{7 * MiB, MiB}, {chunk - MiB, 2 * MiB}, {size - MiB, MiB}}});
  vhdx().create_with(dir / "disk", size, {{"block_size", Value{Bytes{MiB}}}})->finish();
  test::put<std::uint32_t>(dir / "disk", test::metadata_at + 64 * KiB + 32, 4096);
  File file = File::open_write(dir / "disk");
  file.write_at(test::table_at, std::vector<std::byte>(MiB));
  std::uint64_t end = file.size();
  std::vector<std::byte> bytes(MiB);
  for (const std::uint64_t offset : {7 * MiB, chunk - MiB, chunk, size - MiB}) {
    File::open_read(dir / "raw").read_at(offset, bytes);
    file.write_at(end, bytes);
    const std::uint64_t block = offset / MiB, entry = block + (block >= 32768 ? 1 : 0);
    test::put<std::uint64_t>(dir / "disk", test::table_at + entry * 8, end | 6);
    end += MiB;
  }
  const auto reader = vhdx().open(dir / "disk");
  EXPECT_EQ(reader->size(), size);
  const test::RawDisk raw(dir / "raw");
  BlockSink* const none[] = {nullptr};
  EXPECT_EQ(pump(*reader, std::span(none).first(0)).content, pump(raw, std::span(none).first(0)).content);
  const Inspection found = vhdx().inspect(dir / "disk");
  EXPECT_EQ(found.details.at("logical_sector_size"), "4096");
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].what, "the disk has sectors of 4096 bytes");
}

TEST(Vhdx, IsReadFromWithinAnotherFile) {
  test::TempDir dir;
  test::write_raw(dir / "raw", test::sample_disks()[6]);
  write_vhdx(dir / "raw", dir / "disk");
  const File disk = File::open_read(dir / "disk");
  std::vector<std::byte> bytes(disk.size());
  disk.read_at(0, bytes);
  File outer = File::create(dir / "outer");
  outer.write_at(1536, bytes);
  outer.truncate(1536 + bytes.size() + 3 * MiB);
  const auto part = [&](std::uint64_t length) { return outer.part(1536, length, "disk.vhdx"); };
  EXPECT_TRUE(test::same_as_raw(*vhdx().open(part(bytes.size())), dir / "raw"));
  EXPECT_THROW(vhdx().open(part(bytes.size() - 1)), Error) << "what follows it is not its own";
}

TEST(Vhdx, IsRecognisedByItsMark) {
  const std::string mark = "vhdxfile";
  const auto head = std::as_bytes(std::span(mark));
  EXPECT_EQ(vhdx().probe({head, head, 8}), Match::yes);
  EXPECT_EQ(vhdx().probe({head.first(7), {}, 7}), Match::no);
  EXPECT_EQ(vhdx().probe({{}, head, 8}), Match::no);
}

}  // namespace
}  // namespace kiln
