// A file as kiln's own layer: what it does not hold is as the disk below.

#include "patched.h"

namespace kiln {
namespace {

class Qcow2Layer : public test::Patched {
 protected:
  /// An overlay of `size` over raw_, with some writes in it.
  void make_layer(const std::string& size, const std::string& options = "compat=1.1") {
    test::qemu_img(
        {"create", "-q", "-f", "qcow2", "-o", options, "-b", raw_.string(), "-F", "raw", file_.string(), size});
    test::run({"qemu-io", "-f", "qcow2", "-c", "write -P 7 100k 100k", "-c", "write -z 512k 128k", file_.string()});
  }
  void expect_as_qemu_reads() {
    const auto flat = dir_ / "flat.raw";
    test::qemu_to_raw(file_, "qcow2", flat);
    const auto layer = format_.open(file_, std::make_shared<test::RawDisk>(raw_));
    EXPECT_TRUE(test::same_as_raw(*layer, flat));
  }
};

TEST_F(Qcow2Layer, ReadsThroughToTheDiskBelow) {
  for (const char* options : {"compat=1.1", "extended_l2=on", "cluster_size=4k", "cluster_size=2M"}) {
    SCOPED_TRACE(options);
    make_layer("4M", options);
    expect_as_qemu_reads();
  }
}

TEST_F(Qcow2Layer, MayBeLongerOrShorterThanTheDiskBelow) {
  make_layer("1024M");
  expect_as_qemu_reads();
  make_layer("700K");
  expect_as_qemu_reads();
}

TEST_F(Qcow2Layer, SaysWhatIsInherited) {
  make_layer("6M");
  const auto layer = format_.open(file_, std::make_shared<test::RawDisk>(raw_));
  const auto expect = [&](std::uint64_t at, std::uint64_t length, bool data, bool inherited) {
    const Extent e = layer->extent_at(at);
    EXPECT_EQ(std::tuple(e.offset, e.length, e.data, e.inherited), std::tuple(at, length, data, inherited));
  };
  expect(0, 64 * KiB, false, true);            // a hole below
  expect(64 * KiB, 192 * KiB, true, false);    // written: clusters 1 to 3
  expect(256 * KiB, 256 * KiB, true, true);    // below
  expect(512 * KiB, 128 * KiB, false, false);  // zeroed, whatever lies below
  expect(640 * KiB, 448 * KiB, true, true);    // below, to the end of its data
  expect(MiB + 64 * KiB, 3 * MiB - 64 * KiB, false, true);
  expect(4 * MiB, 2 * MiB, false, false);  // past the end of the disk below
}

TEST_F(Qcow2Layer, IsStillRefusedADataFile) {
  test::qemu_img(
      {"create", "-q", "-f", "qcow2", "-o", "data_file=" + (dir_ / "victim").string(), file_.string(), "4M"});
  EXPECT_EQ(test::said([&] { format_.open(file_, std::make_shared<test::RawDisk>(raw_)); }).what,
            file_.string() + " refers to another file of this host");
}

}  // namespace
}  // namespace kiln
