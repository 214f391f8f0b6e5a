// What kiln writes, qemu-img reads back.

#include "formats/vmdk/vmdk_files.h"

namespace kiln {
namespace {

using test::MiB;
using test::vmdk;
using test::vmdk_options;
using test::write_vmdk;

TEST(VmdkWrite, QemuReadsIt) {
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    for (const char* subformat : {"monolithicSparse", "streamOptimized"}) {
      SCOPED_TRACE(shape.name + " " + subformat);
      const test::TempDir dir;
      const auto raw = dir / "raw", file = dir / "disk.vmdk";
      test::write_raw(raw, shape);
      write_vmdk(raw, file, vmdk_options(subformat));
      std::filesystem::resize_file(raw, (shape.size + 511) / 512 * 512);
      EXPECT_NO_THROW(test::qemu_img({"compare", "-q", "-f", "vmdk", "-F", "raw", file.string(), raw.string()}));
      EXPECT_NO_THROW(test::qemu_img({"check", "-q", "-f", "vmdk", file.string()}));
      EXPECT_TRUE(test::same_as_raw(*vmdk().open(file), raw));
      EXPECT_EQ(vmdk().inspect(file).variant, subformat);
    }
  }
}

}  // namespace
}  // namespace kiln
