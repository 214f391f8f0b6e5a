// A VHD states its size twice. Nothing may be cut off silently.

#include <gtest/gtest.h>

#include "formats/vhd/vhd_files.h"

namespace kiln {
namespace {

using test::vhd;

const std::uint64_t MiB = 1 << 20, GiB = 1 << 30;
// 20 MiB by the current size; 602 cylinders of 4 heads of 17 sectors are 19.98 MiB.
const std::uint64_t current = 20 * MiB, geometry = 602 * 4 * 17 * 512;

void make(const std::filesystem::path& file, const std::string& subformat, bool data_at_the_end) {
  const std::filesystem::path raw = file.string() + ".raw";
  test::DiskShape shape{"disk", current, {{0, MiB}, {geometry - 512, 512}}};
  if (data_at_the_end) shape.pieces.push_back({current - 512, 512});
  std::filesystem::remove(raw);
  test::write_raw(raw, shape);
  test::qemu_from_raw(raw, file, "vpc", "force_size=on,subformat=" + subformat);
  test::set_geometry(file, 602, 4, 17);
}

std::uint64_t size_of(const std::filesystem::path& file) {
  const std::uint64_t size = vhd().inspect(file).virtual_size;
  EXPECT_EQ(vhd().open(file)->size(), size);
  return size;
}

TEST(VhdSize, IsWhatTheCreatorMeans) {
  for (const char* subformat : {"dynamic", "fixed"}) {
    test::TempDir dir;
    make(dir / "disk", subformat, false);
    const std::string nul(1, '\0');
    for (const std::string& creator : {std::string("win "), "tap" + nul, std::string("tap "), std::string("d2v "),
                                       std::string("qem2"), std::string("CTXS")}) {
      test::set_creator(dir / "disk", creator);
      EXPECT_EQ(size_of(dir / "disk"), current) << creator;
      EXPECT_EQ(vhd().inspect(dir / "disk").details.at("size_by"), "current-size");
      if (creator == "tap ") continue;  // qemu-img knows the spelling with a NUL only, and cuts this one off
      EXPECT_TRUE(test::same_as_raw(*vhd().open(dir / "disk"), test::as_qemu_reads(dir / "disk"))) << creator;
    }
    for (const std::string creator : {"vpc ", "vs  ", "qemu"}) {
      test::set_creator(dir / "disk", creator);
      EXPECT_EQ(size_of(dir / "disk"), geometry) << creator;
      EXPECT_EQ(vhd().inspect(dir / "disk").details.at("size_by"), "geometry");
      EXPECT_TRUE(test::same_as_raw(*vhd().open(dir / "disk"), test::as_qemu_reads(dir / "disk"))) << creator;
    }
  }
}

TEST(VhdSize, AGeometryThatCutsDataOffDoesNotCount) {
  for (const char* subformat : {"dynamic", "fixed"}) {
    test::TempDir dir;
    make(dir / "disk", subformat, true);
    for (const std::string creator : {"vpc ", "vs  ", "qemu"}) {
      test::set_creator(dir / "disk", creator);
      EXPECT_EQ(size_of(dir / "disk"), current) << creator;
      EXPECT_TRUE(test::same_as_raw(*vhd().open(dir / "disk"), dir / "disk.raw")) << creator;
    }
  }
}

TEST(VhdSize, AGeometryFarFromTheSizeDoesNotCount) {
  test::TempDir dir;
  make(dir / "disk", "dynamic", false);
  test::set_creator(dir / "disk", "vpc ");
  test::set_geometry(dir / "disk", 1, 1, 1);
  EXPECT_EQ(size_of(dir / "disk"), current);
  test::set_geometry(dir / "disk", 0, 0, 0);
  EXPECT_EQ(size_of(dir / "disk"), current);
}

TEST(VhdSize, ALargerGeometryCountsWhereTheFileHoldsIt) {
  test::TempDir dir;
  make(dir / "disk", "dynamic", true);
  test::set_creator(dir / "disk", "qemu");
  test::edit_footer(dir / "disk", [](std::span<std::byte> f) { put_be<std::uint64_t>(f, 48, current - 4096); });
  test::set_geometry(dir / "disk", 640, 4, 16);  // 20 MiB to the byte
  EXPECT_EQ(size_of(dir / "disk"), current);
  EXPECT_TRUE(test::same_as_raw(*vhd().open(dir / "disk"), dir / "disk.raw"));
  test::set_geometry(dir / "disk", 1000, 16, 63);
  EXPECT_EQ(size_of(dir / "disk"), current - 4096) << "its block table does not reach that far";
}

TEST(VhdSize, OfALargeDiskIsTheCurrentSizeWhoeverMadeIt) {
  test::TempDir dir;
  test::qemu_img({"create", "-f", "vpc", "-o", "force_size=on", (dir / "disk").string(), "300G"});
  test::set_creator(dir / "disk", "vpc ");
  EXPECT_EQ(size_of(dir / "disk"), 300 * GiB);
  const std::string info = test::qemu_img({"info", "-f", "vpc", "--output=json", (dir / "disk").string()});
  EXPECT_NE(info.find("\"virtual-size\": " + std::to_string(300 * GiB)), std::string::npos) << info;
}

/// Fixed disks have no table whose numbers could end; clouds have some of 4 TiB.
TEST(VhdSize, OfAFixedDiskHasNoLimit) {
  test::TempDir dir;
  const std::uint64_t size = 4096 * GiB;
  test::qemu_img({"create", "-f", "vpc", "-o", "force_size=on,subformat=fixed", (dir / "small").string(), "1M"});
  const File small = File::open_read(dir / "small");
  std::vector<std::byte> footer(512);
  small.read_at(small.size() - 512, footer);
  File::create(dir / "disk").write_at(size, footer);
  test::edit_footer(dir / "disk", [&](std::span<std::byte> f) { put_be<std::uint64_t>(f, 48, size); });
  EXPECT_EQ(size_of(dir / "disk"), size);
}

TEST(VhdSize, WrittenByGeometryIsRoundedUpAndAgreed) {
  for (const std::uint64_t size :
       {std::uint64_t{512}, 3 * MiB, 100 * MiB + 512, 600 * MiB, 2 * GiB, 10 * GiB, 100 * GiB}) {
    test::TempDir dir;
    const Table options{{"size_by", Value{std::string("geometry")}}};
    vhd().create_with(dir / "disk", size, options)->finish();
    const std::uint64_t rounded = size_of(dir / "disk");
    EXPECT_GE(rounded, size);
    EXPECT_LT(rounded - size, 2 * MiB);
    const std::string info = test::qemu_img({"info", "-f", "vpc", "--output=json", (dir / "disk").string()});
    EXPECT_NE(info.find("\"virtual-size\": " + std::to_string(rounded) + ","), std::string::npos) << info;
    EXPECT_EQ(vhd().inspect(dir / "disk").details.at("creator"), "vpc");
  }
}

TEST(VhdSize, WhatDoesNotFitIsRefusedAndLeavesNothing) {
  test::TempDir dir;
  const auto why = [&](std::uint64_t size, const Table& options) -> std::string {
    try {
      vhd().create_with(dir / "disk", size, options);
      return "created";
    } catch (const Error& e) {
      return std::string(e.what()) + "; " + e.hint();
    }
  };
  const Table by_geometry{{"size_by", Value{std::string("geometry")}}};
  EXPECT_EQ(why(2041 * GiB, {}), "a disk of 2.0 TiB does not fit a VHD; a VHD holds up to 2040 GiB: use qcow2");
  EXPECT_EQ(why(200 * GiB, by_geometry),
            "a geometry expresses sizes below 127.5 GiB only, not 200.0 GiB; leave size_by at \"current-size\"");
  EXPECT_NE(why(0, {}), "created");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace kiln
