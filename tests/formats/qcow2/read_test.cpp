// What kiln reads of a qcow2 file that qemu-img wrote is what qemu-img put there.

#include <gtest/gtest.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using test::DiskShape;
using test::Piece;

struct Variant {
  const char* name;
  const char* options;
  bool compressed = false;
  bool all = false;  ///< disks; otherwise those that are small and odd
};

bool is_small(const DiskShape& shape) {
  return shape.name.starts_with("last-partial") || shape.name == "one-sector" || shape.name == "islands";
}

void PrintTo(const Variant& v, std::ostream* out) {
  *out << v.name;
}

class Read : public testing::TestWithParam<Variant> {
 protected:
  void expect_equal(const DiskShape& shape) {
    const auto raw = dir_ / (shape.name + ".raw"), file = dir_ / (shape.name + ".qcow2");
    test::write_raw(raw, shape);
    std::vector<std::string> args{"convert", "-f", "raw", "-O", "qcow2", "-o", GetParam().options};
    if (GetParam().compressed) args.emplace_back("-c");
    args.insert(args.end(), {raw.string(), file.string()});
    test::qemu_img(args);
    EXPECT_TRUE(test::same_as_raw(*format_.open(file), raw)) << shape.name;
    EXPECT_EQ(format_.inspect(file).virtual_size, shape.size);
  }

  test::TempDir dir_;
  const Format& format_ = test::load_format("qcow2");
};

TEST_P(Read, WhatQemuImgWrote) {
  for (const DiskShape& shape : test::sample_disks())
    if (GetParam().all || is_small(shape)) expect_equal(shape);
}

INSTANTIATE_TEST_SUITE_P(
    Qcow2, Read,
    testing::Values(
        Variant{"v2", "compat=0.10"}, Variant{"v2zlib", "compat=0.10", true}, Variant{"v3", "compat=1.1", false, true},
        Variant{"v3zlib", "compat=1.1", true, true}, Variant{"v3zstd", "compression_type=zstd", true, true},
        Variant{"c512", "cluster_size=512"}, Variant{"c512zlib", "cluster_size=512", true},
        Variant{"c4kzstd", "cluster_size=4096,compression_type=zstd", true}, Variant{"c2m", "cluster_size=2M"},
        Variant{"c2mzlib", "cluster_size=2M", true}, Variant{"c2mzstd", "cluster_size=2M,compression_type=zstd", true},
        Variant{"extended", "extended_l2=on", false, true}, Variant{"extended16k", "extended_l2=on,cluster_size=16k"},
        Variant{"extendedzstd", "extended_l2=on,cluster_size=128k,compression_type=zstd", true},
        Variant{"refcount1", "refcount_bits=1"}, Variant{"refcount64", "refcount_bits=64"},
        Variant{"lazy", "lazy_refcounts=on"}, Variant{"metadata", "preallocation=metadata"}),
    [](const auto& made) { return made.param.name; });

}  // namespace
}  // namespace kiln
