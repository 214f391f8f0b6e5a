// What kiln reads is what qemu-img reads; what kiln writes, qemu-img reads back.

#include <gtest/gtest.h>

#include <chrono>

#include "disk/pump.h"
#include "formats/vdi/vdi_files.h"

namespace kiln {
namespace {

using test::vdi;

const std::uint64_t KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, TiB = GiB << 10;

void write(const std::filesystem::path& raw, const std::filesystem::path& out, const std::string& subformat) {
  const test::RawDisk disk(raw);
  const auto sink = vdi().create_with(out, disk.size(), {{"subformat", Value{subformat}}});
  BlockSink* const sinks[] = {sink.get()};
  pump(disk, sinks);
  sink->finish();
}

TEST(Vdi, ReadsWhatQemuWrote) {
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    for (const char* options : {"static=off", "static=on"}) {
      const bool is_static = options == std::string("static=on");
      if (is_static && shape.name != "mixed" && shape.name != "odd") continue;
      SCOPED_TRACE(shape.name + ", " + options);
      test::TempDir dir;
      test::write_raw(dir / "raw", shape);
      test::qemu_from_raw(dir / "raw", dir / "disk", "vdi", options);
      EXPECT_TRUE(test::same_as_raw(*vdi().open(dir / "disk"), test::as_qemu_reads(dir / "disk")));
      EXPECT_EQ(vdi().inspect(dir / "disk").variant, is_static ? "static" : "dynamic");
      EXPECT_TRUE(vdi().inspect(dir / "disk").findings.empty());
    }
  }
}

TEST(Vdi, QemuReadsWhatItWrote) {
  for (const test::DiskShape& shape : test::sample_disks()) {
    for (const char* subformat : {"dynamic", "static"}) {
      if (subformat == std::string("static") && !shape.name.ends_with("-block")) continue;
      SCOPED_TRACE(shape.name + ", " + subformat);
      test::TempDir dir;
      test::write_raw(dir / "raw", shape);
      write(dir / "raw", dir / "disk", subformat);
      test::qemu_img({"compare", "-f", "raw", "-F", "vdi", (dir / "raw").string(), (dir / "disk").string()});
      test::qemu_img({"check", "-f", "vdi", (dir / "disk").string()});
      EXPECT_TRUE(test::same_as_raw(*vdi().open(dir / "disk"), dir / "raw"));
      EXPECT_EQ(vdi().inspect(dir / "disk").variant, subformat);
      EXPECT_TRUE(vdi().inspect(dir / "disk").findings.empty());
    }
  }
}

TEST(Vdi, QemuTellsTheSameSize) {
  for (const std::uint64_t size : {std::uint64_t{512}, 5 * MiB + 512, 2 * TiB}) {
    test::TempDir dir;
    vdi().create_with(dir / "disk", size, {})->finish();
    const std::string info = test::qemu_img({"info", "-f", "vdi", "--output=json", (dir / "disk").string()});
    EXPECT_NE(info.find("\"virtual-size\": " + std::to_string(size) + ","), std::string::npos) << info;
    EXPECT_EQ(vdi().inspect(dir / "disk").virtual_size, size);
  }
}

TEST(Vdi, SaysWhichSizesDoNotFit) {
  test::TempDir dir;
  const auto why = [&](std::uint64_t size) {
    try {
      vdi().create_with(dir / "disk", size, {});
      return std::string("created");
    } catch (const Error& e) {
      return std::string(e.what()) + "; " + e.hint();
    }
  };
  EXPECT_EQ(why(16 * TiB + 1), "a disk of 16.0 TiB does not fit a VDI; a VDI holds up to 16.0 TiB: use qcow2");
  EXPECT_EQ(why(0), "a disk of 0 B does not fit a VDI; a VDI holds up to 16.0 TiB: use qcow2");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Vdi, TheSameContentGivesTheSameBytes) {
  for (const char* subformat : {"dynamic", "static"}) {
    test::TempDir dir;
    test::write_raw(dir / "raw", test::sample_disks()[6]);
    write(dir / "raw", dir / "a", subformat);
    write(dir / "raw", dir / "b", subformat);
    EXPECT_TRUE(test::same_files(dir / "a", dir / "b"));
    test::flip_byte(dir / "raw", 100);
    write(dir / "raw", dir / "c", subformat);
    EXPECT_NE(test::get<std::uint32_t>(dir / "a", 392), test::get<std::uint32_t>(dir / "c", 392))
        << "the UUID is of the content";
  }
}

TEST(Vdi, AnOddSizeIsRoundedUpToASector) {
  test::TempDir dir;
  test::write_raw(dir / "raw", {"odd", 3 * MiB + 100, {{3 * MiB, 100}}});
  write(dir / "raw", dir / "disk", "dynamic");
  test::put<std::uint64_t>(dir / "disk", 368, 3 * MiB + 100);  // as VBoxManage convertfromraw writes it
  test::cut_file(dir / "raw", 3 * MiB + 512);
  EXPECT_TRUE(test::same_as_raw(*vdi().open(dir / "disk"), dir / "raw"));
  EXPECT_TRUE(test::same_files(test::as_qemu_reads(dir / "disk"), dir / "raw"));
  EXPECT_EQ(vdi().inspect(dir / "disk").details.at("disk_size"), std::to_string(3 * MiB + 100));
}

TEST(Vdi, AnEmptyDiskOf2TiBTakesNoTime) {
  test::TempDir dir;
  test::qemu_img({"create", "-f", "vdi", (dir / "disk").string(), "2T"});
  const auto start = std::chrono::steady_clock::now();
  const auto reader = vdi().open(dir / "disk");
  const auto sink = vdi().create_with(dir / "out", reader->size(), {});
  BlockSink* const sinks[] = {sink.get()};
  EXPECT_EQ(pump(*reader, sinks).data_bytes, 0u);
  sink->finish();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(Vdi, BlocksMayLieInAnyOrderAndBeDiscarded) {
  for (const char* options : {"static=off", "static=on"}) {
    test::TempDir dir;
    test::write_raw(dir / "raw", {"disk", 5 * MiB + 512, {{0, 5 * MiB + 512}}});
    test::qemu_from_raw(dir / "raw", dir / "disk", "vdi", options);
    test::set_map(dir / "disk", {5, 4, 0xfffffffe, 0xffffffff, 1, 0});
    EXPECT_TRUE(test::same_as_raw(*vdi().open(dir / "disk"), test::as_qemu_reads(dir / "disk")));
    EXPECT_EQ(vdi().open(dir / "disk")->extent_at(2 * MiB + 1).length, 2 * MiB - 1) << "holes in one piece";
    const Inspection found = vdi().inspect(dir / "disk");
    EXPECT_EQ(found.details.at("allocated_blocks"), "4");
    ASSERT_EQ(found.findings.size(), 1u);
    EXPECT_EQ(found.findings[0].evidence[0], "VDI header, bytes 388..391: 6 blocks, the block map has 4");
  }
}

// QEMU reads neither; the blocks are made by hand.
TEST(Vdi, OtherBlockSizesAndBytesBeforeEachBlock) {
  for (const std::uint64_t block : {4 * KiB, 512 * KiB, 8 * MiB})
    for (const std::uint64_t extra : {std::uint64_t{0}, std::uint64_t{512}, 4 * KiB}) {
      SCOPED_TRACE(std::to_string(block) + " " + std::to_string(extra));
      test::TempDir dir;
      vdi().create_with(dir / "disk", 4 * block, {})->finish();
      test::put(dir / "disk", 376, static_cast<std::uint32_t>(block));
      test::put(dir / "disk", 380, static_cast<std::uint32_t>(extra));
      test::put<std::uint32_t>(dir / "disk", 384, 4);
      test::set_map(dir / "disk", {2, 0xffffffff, 0, 1});
      test::write_raw(dir / "raw", {"disk", 4 * block, {{0, block}, {2 * block, 2 * block}}});
      const File raw = File::open_read(dir / "raw");
      File made = File::open_write(dir / "disk");
      const std::uint64_t data_at = test::get<std::uint32_t>(dir / "disk", 344);
      std::vector<std::byte> bytes(block), junk(extra, std::byte{0x55});
      const std::uint64_t order[] = {2, 3, 0};
      for (std::uint64_t i = 0; i < 3; ++i) {
        raw.read_at(order[i] * block, bytes);
        made.write_at(data_at + i * (block + extra), junk);
        made.write_at(data_at + i * (block + extra) + extra, bytes);
      }
      EXPECT_TRUE(test::same_as_raw(*vdi().open(dir / "disk"), dir / "raw"));
    }
}

TEST(Vdi, IsReadFromWithinAnotherFile) {
  test::TempDir dir;
  test::write_raw(dir / "raw", test::sample_disks()[6]);
  write(dir / "raw", dir / "disk", "dynamic");
  const File disk = File::open_read(dir / "disk");
  std::vector<std::byte> bytes(disk.size());
  disk.read_at(0, bytes);
  File outer = File::create(dir / "outer");
  outer.write_at(1536, bytes);
  outer.truncate(1536 + bytes.size() + 3 * MiB);
  const auto part = [&](std::uint64_t length) { return outer.part(1536, length, "disk.vdi"); };
  EXPECT_TRUE(test::same_as_raw(*vdi().open(part(bytes.size())), dir / "raw"));
  EXPECT_THROW(vdi().open(part(bytes.size() - 1)), Error) << "what follows it is not its own";
}

TEST(Vdi, IsRecognisedByItsSignature) {
  std::vector<std::byte> head(512);
  put_le<std::uint32_t>(head, 64, 0xbeda107f);
  EXPECT_EQ(vdi().probe({head, head, 512}), Match::yes);
  EXPECT_EQ(vdi().probe({std::span(head).first(67), {}, 67}), Match::no);
  head[64] = std::byte{0};
  EXPECT_EQ(vdi().probe({head, head, 512}), Match::no);
}

}  // namespace
}  // namespace kiln
