#include "disk/overlay.h"

#include <gtest/gtest.h>

#include <kiln/file.h>

#include "support/disks.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using test::qemu_img;

TEST(Overlay, EmptyDisksOfAllSizesPassTheCheck) {
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{512}, std::uint64_t{10} << 30,
                                   (std::uint64_t{1} << 30) + 512, std::uint64_t{64} << 40, std::uint64_t{1} << 51}) {
    test::TempDir dir;
    create_empty(dir / "disk", size);
    EXPECT_NE(qemu_img({"check", "-f", "qcow2", (dir / "disk").string()}).find("No errors"), std::string::npos) << size;
    const std::string info = qemu_img({"info", "-f", "qcow2", "--output=json", (dir / "disk").string()});
    EXPECT_NE(info.find("\"virtual-size\": " + std::to_string((size + 511) / 512 * 512)), std::string::npos) << info;
  }
}

TEST(Overlay, ReadsAsItsBackingAndAsZerosPastIt) {
  test::TempDir dir;
  test::write_raw(dir / "base.raw", {"base", 3 << 20, {{0, 2 << 20}, {(3 << 20) - 512, 512}}});
  test::qemu_from_raw(dir / "base.raw", dir / "base.qcow2", "qcow2");
  create_overlay(dir / "top", 5 << 20, dir / "base.qcow2", "qcow2");
  EXPECT_NE(qemu_img({"check", "-f", "qcow2", (dir / "top").string()}).find("No errors"), std::string::npos);
  test::qemu_to_raw(dir / "top", "qcow2", dir / "top.raw");
  std::filesystem::resize_file(dir / "base.raw", 5 << 20);
  EXPECT_TRUE(test::same_files(dir / "top.raw", dir / "base.raw"));
  // It is a real layer: what is written into it stays in it.
  test::run({"qemu-io", "-f", "qcow2", "-c", "write -P 7 64k 64k", (dir / "top").string()});
  EXPECT_NE(qemu_img({"check", "-f", "qcow2", (dir / "top").string()}).find("No errors"), std::string::npos);
  EXPECT_NE(
      qemu_img({"compare", "-f", "qcow2", "-F", "qcow2", (dir / "base.qcow2").string(), (dir / "base.qcow2").string()}),
      "");
}

TEST(Overlay, ARelativeNameWithAColonIsNoProtocol) {
  test::TempDir dir;
  test::write_raw(dir / "nbd:base", {"base", 1 << 20, {{0, 4096}}});
  create_overlay(dir / "top", 1 << 20, "nbd:base", "raw");
  test::qemu_to_raw(dir / "top", "qcow2", dir / "top.raw");
  EXPECT_TRUE(test::same_files(dir / "top.raw", dir / "nbd:base"));
}

TEST(Overlay, RefusesWhatDoesNotFitAndLeavesNothing) {
  test::TempDir dir;
  EXPECT_THROW(create_empty(dir / "disk", 0), Error);
  EXPECT_THROW(create_empty(dir / "disk", (std::uint64_t{1} << 51) + 1), Error);
  EXPECT_THROW(create_empty(dir / "disk", ~std::uint64_t{0}), Error);
  EXPECT_THROW(create_overlay(dir / "disk", 512, "/" + std::string(1023, 'x'), "raw"), Error);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  create_empty(dir / "disk", 512);
  EXPECT_THROW(create_empty(dir / "disk", 512), Error) << "an existing file is left alone";
}

}  // namespace
}  // namespace kiln
