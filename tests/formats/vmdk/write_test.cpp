// What kiln writes, qemu-img reads back.

#include <sys/stat.h>

#include "formats/vmdk/vmdk_files.h"
#include "support/full_disk.h"

namespace kiln {
namespace {

using test::KiB;
using test::MiB;
using test::TiB;
using test::vmdk;
using test::vmdk_options;
using test::write_vmdk;

void expect_equal(const std::filesystem::path& file, const std::filesystem::path& raw) {
  EXPECT_NO_THROW(test::qemu_img({"compare", "-q", "-f", "vmdk", "-F", "raw", file.string(), raw.string()}));
  EXPECT_NO_THROW(test::qemu_img({"check", "-q", "-f", "vmdk", file.string()}));
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), raw));
}

class VmdkWrite : public testing::TestWithParam<std::string> {
 protected:
  test::TempDir dir;
  const std::filesystem::path raw = dir / "raw", file = dir / "disk.vmdk";
};

TEST_P(VmdkWrite, QemuReadsIt) {
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    SCOPED_TRACE(shape.name);
    test::write_raw(raw, shape);
    write_vmdk(raw, file, vmdk_options(GetParam()));
    std::filesystem::resize_file(raw, (shape.size + 511) / 512 * 512);
    expect_equal(file, raw);
    EXPECT_EQ(vmdk().inspect(file).variant, GetParam());
    std::filesystem::remove(raw);
    std::filesystem::remove(file);
  }
}

TEST_P(VmdkWrite, TheSameContentGivesTheSameBytes) {
  test::write_raw(raw, {"mixed", 70 * MiB, {{0, 3 * MiB, test::Piece::Kind::text}, {40 * MiB + 512, MiB}}});
  write_vmdk(raw, file, vmdk_options(GetParam()), 1);
  write_vmdk(raw, dir / "other name", vmdk_options(GetParam()), 4);
  EXPECT_TRUE(test::same_files(file, dir / "other name"));
  test::flip_byte(raw, 40 * MiB + 512);
  write_vmdk(raw, dir / "changed", vmdk_options(GetParam()));
  const auto cid = [&](const std::string& name) {
    std::array<std::byte, 512> text{};
    File::open_read(dir / name).read_at(512, text);
    const std::string s(reinterpret_cast<const char*>(text.data()), text.size());
    return s.substr(s.find("CID="), 12);
  };
  EXPECT_NE(cid("changed"), cid("disk.vmdk"));
}

TEST_P(VmdkWrite, TakesADiskOfTebibytes) {
  const std::uint64_t size = 8 * TiB;
  test::write_raw(raw, {"far", size, {{0, 512}, {3 * TiB + 512, 70 * KiB}, {size - 512, 512}}});
  write_vmdk(raw, file, vmdk_options(GetParam()));
  EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), raw));
  struct stat st {};
  ASSERT_EQ(::stat(file.c_str(), &st), 0);
  EXPECT_LT(static_cast<std::uint64_t>(st.st_blocks) * 512, 8 * MiB) << "tables without content are holes";
}

TEST_P(VmdkWrite, TheAdapterIsInTheDescriptor) {
  test::write_raw(raw, {"small", MiB, {{0, 512}}});
  for (const std::string adapter : {"ide", "buslogic", "lsilogic"}) {
    Table options = vmdk_options(GetParam());
    options["adapter"] = Value{adapter};
    write_vmdk(raw, file, options);
    EXPECT_EQ(vmdk().inspect(file).details.at("adapter"), adapter);
    std::filesystem::remove(file);
  }
}

TEST_P(VmdkWrite, AFullDiskIsSaidAndNothingIsLeft) {
  test::write_raw(raw, {"disk", 4 * MiB, {{0, 4 * MiB}}});
  test::on_small_disk(2 * MiB, [&](const std::filesystem::path& small) {
    EXPECT_THROW(write_vmdk(raw, small / "out.vmdk", vmdk_options(GetParam())), Error);
    EXPECT_EQ(test::names_in(small), "");
  });
}

INSTANTIATE_TEST_SUITE_P(Subformats, VmdkWrite, testing::Values("monolithicSparse", "streamOptimized"),
                         [](const auto& made) { return made.param; });

TEST(VmdkWriteLevels, MakeSmallerFiles) {
  const test::TempDir dir;
  test::write_raw(dir / "raw", {"text", MiB, {{0, MiB, test::Piece::Kind::text}}});
  std::uintmax_t before = UINTMAX_MAX;
  for (const std::int64_t level : {1, 5, 9}) {
    const auto file = dir / std::to_string(level);
    write_vmdk(dir / "raw", file, vmdk_options("streamOptimized", level));
    EXPECT_LT(std::filesystem::file_size(file), before);
    before = std::filesystem::file_size(file);
    expect_equal(file, dir / "raw");
  }
}

TEST(VmdkWriteLevels, TheDefaultIsNotLargerThanQemus) {
  const test::TempDir dir;
  test::write_raw(dir / "raw", {"mixed", 4 * MiB, {{0, 3 * MiB, test::Piece::Kind::text}, {3 * MiB, MiB}}});
  write_vmdk(dir / "raw", dir / "kiln", vmdk_options("streamOptimized"));
  test::qemu_img({"convert", "-c", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", (dir / "raw").string(),
                  (dir / "qemu").string()});
  EXPECT_LT(static_cast<double>(std::filesystem::file_size(dir / "kiln")),
            1.03 * static_cast<double>(std::filesystem::file_size(dir / "qemu")) + 66 * KiB);
}

TEST(VmdkWriteLimits, AreSaidInWords) {
  const test::TempDir dir;
  const auto refusal = [&](std::uint64_t size, const Table& options) -> std::string {
    try {
      vmdk().create_with(dir / "never", size, options);
    } catch (const Error& e) {
      EXPECT_EQ(e.failure(), Failure::invalid);
      EXPECT_FALSE(e.hint().empty());
      EXPECT_FALSE(std::filesystem::exists(dir / "never"));
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(0, {}), "a disk of 0 B does not fit a VMDK");
  EXPECT_EQ(refusal(63 * TiB, {}), "a disk of 63.0 TiB does not fit a VMDK");
  EXPECT_EQ(refusal(MiB, vmdk_options("monolithicSparse", 5)), "level 5 does not fit subformat \"monolithicSparse\"");
  EXPECT_EQ(refusal(MiB, vmdk_options("streamOptimized", 13)), "level 13 does not fit subformat \"streamOptimized\"");
}

}  // namespace
}  // namespace kiln
