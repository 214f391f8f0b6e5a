// What kiln reads is what qemu-img reads.

#include "formats/vmdk/vmdk_files.h"

namespace kiln {
namespace {

using test::GiB;
using test::KiB;
using test::MiB;
using test::vmdk;

struct Way {
  std::string subformat;
  bool compress = false;
};

class VmdkRead : public testing::TestWithParam<Way> {};

std::vector<test::DiskShape> shapes() {
  std::vector<test::DiskShape> all = test::sample_disks();
  std::erase_if(all,
                [](const test::DiskShape& s) { return s.name == "full" || s.name == "text"; });  // as others, larger
  all.push_back({"two-extents", 2 * GiB + 3 * MiB, {{2 * GiB - MiB, 2 * MiB, test::Piece::Kind::text}, {0, 512}}});
  all.push_back({"odd-grain", 10 * 64 * KiB + 512, {{9 * 64 * KiB, 64 * KiB + 512, test::Piece::Kind::text}}});
  return all;
}

TEST_P(VmdkRead, WhatQemuWrote) {
  const Way& way = GetParam();
  for (const test::DiskShape& shape : shapes()) {
    SCOPED_TRACE(shape.name);
    const test::TempDir dir;
    const auto raw = dir / "raw", file = dir / "disk.vmdk";
    test::write_raw(raw, shape);
    std::vector<std::string> args{"convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=" + way.subformat};
    if (way.compress) args.emplace_back("-c");
    args.insert(args.end(), {raw.string(), file.string()});
    test::qemu_img(args);
    EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), raw));
    const Inspection found = vmdk().inspect(file);
    EXPECT_EQ(found.variant, way.subformat);
    EXPECT_EQ(found.virtual_size, shape.size);
    EXPECT_TRUE(found.findings.empty());
    const bool one_file = way.subformat == "monolithicSparse" || way.subformat == "streamOptimized";
    EXPECT_EQ(found.beside.size(), one_file ? 0u : shape.size > 2 * GiB && way.subformat != "monolithicFlat" ? 2u : 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(Subformats, VmdkRead,
                         testing::Values(Way{"monolithicSparse"}, Way{"monolithicFlat"}, Way{"twoGbMaxExtentSparse"},
                                         Way{"twoGbMaxExtentFlat"}, Way{"streamOptimized", true}),
                         [](const auto& made) { return made.param.subformat; });

}  // namespace
}  // namespace kiln
