// What kiln reads is what qemu-img reads; what kiln writes, qemu-img reads back.

#include <gtest/gtest.h>

#include <chrono>

#include "disk/pump.h"
#include "formats/vhd/vhd_files.h"
#include "support/full_disk.h"

namespace kiln {
namespace {

using test::vhd;
using Options = std::vector<std::pair<std::string, std::string>>;

const std::uint64_t MiB = 1 << 20, GiB = 1 << 30;

Table table(const Options& options) {
  Table out;
  for (const auto& [name, value] : options) out[name] = Value{value};
  return out;
}

void write(const std::filesystem::path& raw, const std::filesystem::path& out, const Options& options) {
  const test::RawDisk disk(raw);
  const auto sink = vhd().create_with(out, disk.size(), table(options));
  BlockSink* const sinks[] = {sink.get()};
  pump(disk, sinks);
  sink->finish();
}

TEST(Vhd, ReadsWhatQemuWrote) {
  for (const test::DiskShape& shape : test::sample_disks()) {
    for (const char* options :
         {"subformat=dynamic", "subformat=fixed", "subformat=dynamic,force_size=on", "subformat=fixed,force_size=on"}) {
      test::TempDir dir;
      test::write_raw(dir / "raw", shape);
      test::qemu_from_raw(dir / "raw", dir / "disk.vhd", "vpc", options);
      EXPECT_TRUE(test::same_as_raw(*vhd().open(dir / "disk.vhd"), test::as_qemu_reads(dir / "disk.vhd")))
          << shape.name << ", " << options;
    }
  }
}

TEST(Vhd, QemuReadsWhatItWrote) {
  for (const test::DiskShape& shape : test::sample_disks()) {
    for (const char* subformat : {"dynamic", "fixed"}) {
      test::TempDir dir;
      test::write_raw(dir / "raw", shape);
      write(dir / "raw", dir / "disk.vhd", {{"subformat", subformat}});
      EXPECT_TRUE(test::same_files(test::as_qemu_reads(dir / "disk.vhd"), dir / "raw"))
          << shape.name << ", " << subformat;
      EXPECT_TRUE(test::same_as_raw(*vhd().open(dir / "disk.vhd"), dir / "raw")) << shape.name << ", " << subformat;
      EXPECT_EQ(vhd().inspect(dir / "disk.vhd").variant, subformat);
    }
  }
}

TEST(Vhd, QemuTellsTheSameSize) {
  for (const std::uint64_t size : {std::uint64_t{512}, 5 * MiB + 512, 8 * GiB, 127 * GiB, 2040 * GiB}) {
    test::TempDir dir;
    vhd().create_with(dir / "disk.vhd", size, {})->finish();
    const std::string info = test::qemu_img({"info", "-f", "vpc", "--output=json", (dir / "disk.vhd").string()});
    EXPECT_NE(info.find("\"virtual-size\": " + std::to_string(size) + ","), std::string::npos) << info;
    EXPECT_EQ(vhd().inspect(dir / "disk.vhd").virtual_size, size);
  }
}

TEST(Vhd, AnOddSizeIsRoundedUpToASector) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"odd", 3 * MiB + 100, {{3 * MiB, 100}}});
  write(dir / "raw", dir / "disk.vhd", {});
  test::cut_file(dir / "raw", 3 * MiB + 512);
  EXPECT_TRUE(test::same_files(test::as_qemu_reads(dir / "disk.vhd"), dir / "raw"));
}

TEST(Vhd, TheSameContentGivesTheSameBytes) {
  for (const char* subformat : {"dynamic", "fixed"}) {
    test::TempDir dir;
    test::write_raw(dir / "raw", test::sample_disks()[6]);
    write(dir / "raw", dir / "a.vhd", {{"subformat", subformat}});
    write(dir / "raw", dir / "b.vhd", {{"subformat", subformat}});
    EXPECT_TRUE(test::same_files(dir / "a.vhd", dir / "b.vhd"));
    test::flip_byte(dir / "raw", 100);
    write(dir / "raw", dir / "c.vhd", {{"subformat", subformat}});
    EXPECT_FALSE(test::same_files(dir / "a.vhd", dir / "c.vhd"));
  }
}

TEST(Vhd, RecognisesAFixedDiskByItsEndOnly) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"disk", MiB, {{0, MiB}}});
  write(dir / "raw", dir / "disk.vhd", {{"subformat", "fixed"}});
  std::vector<std::byte> bytes(MiB + 512);
  File::open_read(dir / "disk.vhd").read_at(0, bytes);
  const auto all = std::span<const std::byte>(bytes);
  EXPECT_EQ(vhd().probe({all.first(65536), all.last(65536), bytes.size()}), Match::yes);
  EXPECT_EQ(vhd().probe({all.first(65536), all.first(MiB).last(65536), MiB}), Match::no);
  // The footer is no part of the disk.
  EXPECT_EQ(vhd().open(dir / "disk.vhd")->size(), MiB);
}

TEST(Vhd, AnEmptyDiskOf127GiBTakesNoTime) {
  for (const char* options : {"subformat=dynamic,force_size=on", "subformat=fixed,force_size=on"}) {
    test::TempDir dir;
    test::qemu_img({"create", "-f", "vpc", "-o", options, (dir / "disk.vhd").string(), "127G"});
    const auto start = std::chrono::steady_clock::now();
    const auto reader = vhd().open(dir / "disk.vhd");
    const auto sink = vhd().create_with(dir / "out.vhd", reader->size(), {});
    BlockSink* const sinks[] = {sink.get()};
    EXPECT_EQ(pump(*reader, sinks).data_bytes, 0u);
    sink->finish();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
    EXPECT_LT(std::filesystem::file_size(dir / "out.vhd"), MiB);
  }
}

TEST(Vhd, UnwrittenSectorsOfABlockAreZeros) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"disk", 4 * MiB, {{0, 4 * MiB}}});
  write(dir / "raw", dir / "disk.vhd", {});
  {
    // Block 1 comes after block 0; its bitmap starts 512 + 1024 + 512 + (512 + 2 MiB) into the file.
    File file = File::open_write(dir / "disk.vhd");
    const std::array<std::byte, 2> bits{std::byte{0x7f}, std::byte{0x00}};  // sectors 0 and 8..15 never written
    file.write_at(2048 + 512 + 2 * MiB, bits);
    File raw = File::open_write(dir / "raw");
    raw.write_at(2 * MiB, std::vector<std::byte>(512));
    raw.write_at(2 * MiB + 8 * 512, std::vector<std::byte>(8 * 512));
  }
  const auto reader = vhd().open(dir / "disk.vhd");
  EXPECT_TRUE(test::same_as_raw(*reader, dir / "raw"));
  EXPECT_FALSE(reader->extent_at(2 * MiB).data);
  EXPECT_EQ(reader->extent_at(2 * MiB + 512).length, 7u * 512);
}

TEST(Vhd, AFullDiskIsSaidAndNothingIsLeft) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"disk", 8 * MiB, {{0, 8 * MiB}}});
  test::on_small_disk(2 * MiB, [&](const std::filesystem::path& small) {
    try {
      write(dir / "raw", small / "out.vhd", {});
      ADD_FAILURE() << "it fitted";
    } catch (const Error& e) {
      EXPECT_EQ(std::filesystem::path(e.what()).filename(), "out.vhd: No space left on device");
      EXPECT_EQ(e.hint(), "free some space, or write to another disk");
    }
    EXPECT_EQ(test::names_in(small), "");
  });
}

}  // namespace
}  // namespace kiln
