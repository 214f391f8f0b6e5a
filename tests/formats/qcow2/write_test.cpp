// What kiln writes is sound to qemu-img and holds what it was given.

#include <gtest/gtest.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using test::DiskShape;

struct Variant {
  const char* name;
  const char* compression;
  std::uint64_t cluster_size;
  bool all = false;  ///< disks; otherwise those that are small and odd
};

bool is_small(const DiskShape& shape) {
  return shape.name.starts_with("last-partial") || shape.name == "one-sector" || shape.name == "islands";
}

void PrintTo(const Variant& v, std::ostream* out) {
  *out << v.name;
}

Table options(const Variant& v) {
  return {{"compression", Value{std::string(v.compression)}}, {"cluster_size", Value{Bytes{v.cluster_size}}}};
}

class Write : public testing::TestWithParam<Variant> {
 protected:
  test::TempDir dir_;
  const Format& format_ = test::load_format("qcow2");
};

TEST_P(Write, IsSoundAndEqual) {
  for (const DiskShape& shape : test::sample_disks()) {
    if (!GetParam().all && !is_small(shape)) continue;
    SCOPED_TRACE(shape.name);
    const auto raw = dir_ / (shape.name + ".raw"), file = dir_ / (shape.name + ".qcow2");
    test::write_raw(raw, shape);
    test::copy_disk(test::RawDisk(raw), *format_.create_with(file, shape.size, options(GetParam())));
    EXPECT_NO_THROW(test::qemu_img({"check", "-q", "-f", "qcow2", file.string()}));
    EXPECT_NO_THROW(test::qemu_img({"compare", "-q", "-f", "qcow2", "-F", "raw", file.string(), raw.string()}));
    EXPECT_TRUE(test::same_as_raw(*format_.open(file), raw));
  }
}

INSTANTIATE_TEST_SUITE_P(Qcow2, Write,
                         testing::Values(Variant{"plain", "none", 65536, true}, Variant{"zlib", "zlib", 65536},
                                         Variant{"zstd", "zstd", 65536, true}, Variant{"c512", "none", 512},
                                         Variant{"c512zlib", "zlib", 512}, Variant{"c4k", "none", 4096},
                                         Variant{"c4kzstd", "zstd", 4096}, Variant{"c128k", "none", 128 << 10},
                                         Variant{"c1mzlib", "zlib", 1 << 20}, Variant{"c2m", "none", 2 << 20, true},
                                         Variant{"c2mzlib", "zlib", 2 << 20}, Variant{"c2mzstd", "zstd", 2 << 20}),
                         [](const auto& made) { return made.param.name; });

}  // namespace
}  // namespace kiln
