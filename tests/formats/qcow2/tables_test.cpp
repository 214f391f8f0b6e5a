// Tables of strangers: overlaps, entries out of place, files that end too early, clusters that do not decode.

#include <chrono>

#include "patched.h"

namespace kiln {
namespace {

constexpr std::uint64_t copied = std::uint64_t{1} << 63, compressed = std::uint64_t{1} << 62;

class Qcow2Tables : public test::Patched {
 protected:
  /// Cuts the file shorter and shorter: each time it is an Error, or what was cut was slack and the content is whole.
  void expect_no_zeros_for_what_is_cut() {
    const std::uint64_t size = std::filesystem::file_size(file_);
    int refusals = 0;
    for (std::uint64_t i = 1; i < 120; ++i) {
      test::cut_file(file_, i < 40 ? size - i * 13 : size - i * (size / 120));
      refusals += test::said([this] { expect_equal(); }).thrown ? 1 : 0;
    }
    EXPECT_GT(refusals, 75);
  }
};

TEST_F(Qcow2Tables, ATruncatedFileIsNeverZeros) {
  for (const char* options : {"compat=0.10", "compat=1.1", "cluster_size=512", "extended_l2=on"}) {
    SCOPED_TRACE(options);
    make(options);
    expect_no_zeros_for_what_is_cut();
  }
  for (const char* options : {"compat=1.1", "compression_type=zstd,cluster_size=4k"}) {
    SCOPED_TRACE(options);
    make(options, true);
    expect_no_zeros_for_what_is_cut();
  }
}

TEST_F(Qcow2Tables, SayWhichClusterIsCutOff) {
  make();
  const std::uint64_t last = get(l2() + 16 * 8) & ~copied;
  test::cut_file(file_, last + 100);
  expect_said("is truncated",
              "the qcow2 data cluster of disk offset 0x100000 ends at byte " + std::to_string(last + 65536) +
                  ", the file at " + std::to_string(last + 100),
              Failure::failed);
}

TEST_F(Qcow2Tables, DataOnMetadataIsDamage) {
  make();
  const std::uint64_t places[] = {l1(), l2(), get(48)};
  for (const std::uint64_t at : places) {
    make();
    put<std::uint64_t>(l2() + 8, copied | at);
    std::ostringstream hex;
    hex << std::hex << at;
    expect_damaged("the qcow2 data cluster of disk offset 0x10000 at byte 0x" + hex.str() +
                   " of the file is in use already");
  }
}

TEST_F(Qcow2Tables, AClusterMappedTwiceIsDamage) {
  make();
  const std::uint64_t host = get(l2() + 8);
  put<std::uint64_t>(l2() + 16, host);
  std::ostringstream hex;
  hex << std::hex << (host & ~copied);
  expect_damaged("the qcow2 data cluster of disk offset 0x20000 at byte 0x" + hex.str() +
                 " of the file is in use already");
}

TEST_F(Qcow2Tables, ATableMappedTwiceIsDamage) {
  std::filesystem::remove(raw_);
  test::write_raw(raw_, {"two", 1024 * MiB, {{0, 512}, {600 * MiB, 512}}});
  make();
  put<std::uint64_t>(l1() + 8, get(l1()));
  std::ostringstream hex;
  hex << std::hex << l2();
  expect_damaged("the qcow2 L2 table of L1 entry 1 at byte 0x" + hex.str() + " of the file is in use already");
}

TEST_F(Qcow2Tables, EntriesOutOfPlaceAreDamage) {
  const std::pair<std::uint64_t, const char*> entries[] = {
      {0x8000000000050200,
       "qcow2 L2 entry of disk offset 0x10000 is 0x8000000000050200: the host cluster is not aligned"},
      {0x8100000000050000, "qcow2 L2 entry of disk offset 0x10000 is 0x8100000000050000: reserved bits are set"},
      {0x4000000000000200,
       "qcow2 L2 entry of disk offset 0x10000 is 0x4000000000000200: compressed data overlaps the header"},
  };
  for (const auto& [entry, evidence] : entries) {
    make();
    put<std::uint64_t>(l2() + 8, entry);
    expect_damaged(evidence);
  }
  make();
  put<std::uint64_t>(l1(), get(l1()) | 0x200);
  EXPECT_THAT(open().evidence.at(0), testing::EndsWith("the L2 table is not aligned"));
  make("compat=0.10");
  put<std::uint64_t>(l2() + 8, 1);
  expect_damaged("qcow2 L2 entry of disk offset 0x10000 is 0x1: bit 0 is reserved in version 2");
  make("extended_l2=on");
  put<std::uint64_t>(l2() + 16 + 8, 0x0000000100000001);
  EXPECT_THAT(open().evidence.at(0),
              testing::EndsWith("a subcluster is allocated and reads as zeros, bitmap 0x100000001"));
}

TEST_F(Qcow2Tables, ACompressedClusterThatDoesNotDecodeIsDamage) {
  for (const char* options : {"compat=1.1", "compression_type=zstd"}) {
    make(options, true);
    const std::uint64_t host = get(l2() + 8) & 0x003fffffffffffff;
    put<std::uint64_t>(host, UINT64_MAX);
    put<std::uint64_t>(host + 8, UINT64_MAX);
    const auto reader = format_.open(file_);
    std::vector<std::byte> into(MiB);
    const test::Said e = test::said([&] { reader->read(0, into); });
    EXPECT_EQ(e.what, file_.string() + " is damaged");
    std::ostringstream hex;
    hex << std::hex << host;
    EXPECT_EQ(e.evidence, std::vector{"the compressed cluster of disk offset 0x10000, at byte 0x" + hex.str() +
                                      " of the file, does not decode to 65536 bytes"});
  }
}

TEST_F(Qcow2Tables, ACompressedClusterOnMetadataIsDamage) {
  make("compat=1.1", true);
  put<std::uint64_t>(l2() + 8, compressed | l1());
  std::ostringstream hex;
  hex << std::hex << l1();
  expect_damaged("the qcow2 compressed cluster of disk offset 0x10000 at byte 0x" + hex.str() +
                 " of the file is in use already");
}

TEST_F(Qcow2Tables, ManyPlacesMayShareOneCompressedCluster) {  // what to make of it is a question of quota
  make("compat=1.1", true);
  const std::uint64_t entry = get(l2() + 8);
  for (std::uint64_t i = 0; i < 64; ++i) put<std::uint64_t>(l2() + i * 8, entry);
  const auto reader = format_.open(file_);
  std::vector<std::byte> want(64 * KiB), got(64 * KiB);
  File::open_read(raw_).read_at(64 * KiB, want);
  for (std::uint64_t at = 0; at < 4 * MiB; at += 64 * KiB) {
    reader->read(at, got);
    EXPECT_EQ(got, want);
  }
  EXPECT_EQ(format_.inspect(file_).details.at("compressed").substr(0, 7), "4.0 MiB");
}

/// A few KiB on the host that claim an exbibyte: 4096 L2 tables of 2 MiB, all of them holes of the file.
TEST_F(Qcow2Tables, ManyTablesInHolesTakeNoTime) {
  make("cluster_size=2M");
  const std::uint64_t tables = 4096, first = 1024 * MiB;
  put<std::uint64_t>(24, tables * (512 * 1024 * MiB));
  put<std::uint32_t>(36, static_cast<std::uint32_t>(tables));
  put<std::uint64_t>(40, first);
  std::filesystem::resize_file(file_, first + 2 * MiB + tables * 2 * MiB);
  std::vector<std::byte> l1(tables * 8);
  for (std::uint64_t i = 0; i < tables; ++i) put_be(std::span(l1), i * 8, copied | (first + (i + 1) * 2 * MiB));
  File::open_write(file_).write_at(first, l1);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(format_.inspect(file_).details.at("data"), "0 B");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST_F(Qcow2Tables, TheSizeNeedNotBeWholeSectors) {
  for (const bool compress : {false, true}) {
    make("compat=1.1", compress);
    std::filesystem::resize_file(raw_, MiB - 777);
    put<std::uint64_t>(24, MiB - 777);
    expect_equal();
    EXPECT_EQ(format_.inspect(file_).virtual_size, MiB - 777);
    std::filesystem::resize_file(raw_, 4 * MiB);
  }
}

TEST_F(Qcow2Tables, InternalSnapshotsAreIgnored) {
  make();
  test::qemu_img({"snapshot", "-c", "before", file_.string()});
  test::run({"qemu-io", "-f", "qcow2", "-c", "write -P 7 32k 100k", "-c", "write -z 300k 128k", file_.string()});
  test::qemu_img({"snapshot", "-c", "after", file_.string()});
  std::filesystem::remove(raw_);
  test::qemu_to_raw(file_, "qcow2", raw_);
  expect_equal();
  EXPECT_EQ(format_.inspect(file_).details.at("snapshots"), "2");
}

}  // namespace
}  // namespace kiln
