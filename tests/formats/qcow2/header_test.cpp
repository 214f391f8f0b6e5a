// Headers of strangers: what is refused, in which words, and what is not.

#include "patched.h"

namespace kiln {
namespace {

class Qcow2Header : public test::Patched {
 protected:
  void give_backing(std::string_view name) {
    make();
    put<std::uint64_t>(8, 1024);
    put<std::uint32_t>(16, static_cast<std::uint32_t>(name.size()));
    put_text(1024, name);
  }
  void expect_reference(const std::string& evidence) {
    expect_said("refers to another file of this host", evidence, Failure::refused);
  }
};

TEST_F(Qcow2Header, RefusesABackingFile) {
  const std::pair<std::string, std::string> names[] = {
      {"/etc/shadow", "/etc/shadow"},
      {"small.qcow2", "small.qcow2"},
      {"json:{\"driver\":\"file\"}", "json:{\"driver\":\"file\"}"},
      {"nbd://127.0.0.1:1/x", "nbd://127.0.0.1:1/x"},
      {"a\nb\x1b[2J", "a\\nb\\x1b[2J"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"", ""},
  };
  for (const auto& [name, shown] : names) {
    give_backing(name);
    expect_reference("qcow2 header, bytes 8..15: backing file name \"" + shown + "\"");
  }
  EXPECT_EQ(open().hint,
            "an imported disk must be complete in itself; ask the sender for a flattened image (qemu-img convert)");
}

TEST_F(Qcow2Header, ShowsALongBackingNameCut) {
  give_backing(std::string(1000, 'x'));
  expect_reference("qcow2 header, bytes 8..15: backing file name \"" + std::string(200, 'x') + "…\"");
}

TEST_F(Qcow2Header, RefusesABackingNameOutsideOfTheHeader) {
  give_backing("x");
  put<std::uint64_t>(8, UINT64_MAX - 2);
  expect_reference("qcow2 header, bytes 8..15: backing file name at byte 18446744073709551613");
}

TEST_F(Qcow2Header, RefusesAnOverlayThatCoversTheWholeDisk) {
  test::qemu_img({"create", "-q", "-f", "qcow2", "-b", raw_.string(), "-F", "raw", file_.string()});
  test::run({"qemu-io", "-f", "qcow2", "-c", "write -P 7 0 4M", file_.string()});
  expect_reference("qcow2 header, bytes 8..15: backing file name \"" + raw_.string() + "\"");
}

TEST_F(Qcow2Header, RefusesAnExternalDataFile) {
  const auto data = dir_ / "victim";
  test::qemu_img({"create", "-q", "-f", "qcow2", "-o", "data_file=" + data.string(), file_.string(), "4M"});
  expect_reference("qcow2 header, bytes 72..79: external data file (incompatible feature bit 2), named \"" +
                   data.string() + "\"");
  put<std::uint64_t>(72, 0);  // the bit is cleared, the name stays
  expect_reference("qcow2 header extension 0x44415441: external data file, named \"" + data.string() + "\"");
  make();
  put<std::uint64_t>(88, 2);
  expect_reference("qcow2 header, bytes 88..95: raw external data file (autoclear feature bit 1)");
}

TEST_F(Qcow2Header, RefusesEncryption) {
  make();
  put<std::uint32_t>(32, 2);
  expect_said("is encrypted", "qcow2 header, bytes 32..35: encryption method 2 (LUKS)", Failure::refused);
  make();
  put<std::uint32_t>(32, 1);
  expect_said("is encrypted", "qcow2 header, bytes 32..35: encryption method 1 (AES)", Failure::refused);
}

TEST_F(Qcow2Header, RefusesUnknownFeaturesByName) {
  make();
  put<std::uint64_t>(72, std::uint64_t{1} << 40);
  expect_said("needs a qcow2 feature that kiln does not know",
              "qcow2 header, bytes 72..79: incompatible feature bit 40, not named", Failure::refused);
  // qemu-img puts its own feature name table behind the header; its first entry is renamed here.
  ASSERT_EQ(get(112) >> 32, 0x6803f857u);
  put<std::uint8_t>(120, 0);
  put<std::uint8_t>(121, 40);
  put_text(122, std::string_view("time \x1b travel\0", 14));
  expect_said("needs a qcow2 feature that kiln does not know",
              "qcow2 header, bytes 72..79: incompatible feature bit 40, named \"time \\x1b travel\"", Failure::refused);
}

TEST_F(Qcow2Header, AcceptsUnknownCompatibleAndAutoclearFeatures) {
  make();
  put<std::uint64_t>(80, std::uint64_t{1} << 40);
  put<std::uint64_t>(88, std::uint64_t{1} << 41);
  expect_equal();
}

TEST_F(Qcow2Header, AcceptsADirtyFileAndDoesNotRepairIt) {
  make("lazy_refcounts=on");
  put<std::uint64_t>(72, 1);
  const auto copy = dir_ / "copy";
  std::filesystem::copy_file(file_, copy);
  expect_equal();
  EXPECT_EQ(format_.inspect(file_).details.at("dirty"), "yes");
  EXPECT_TRUE(test::same_files(file_, copy));
}

TEST_F(Qcow2Header, RefusesAFileThatIsMarkedAsCorrupt) {
  make();
  put<std::uint64_t>(72, 2);
  expect_said("is marked as corrupt by the program that wrote it",
              "qcow2 header, bytes 72..79: corrupt (incompatible feature bit 1)", Failure::failed);
}

TEST_F(Qcow2Header, OfVersion2HasExtensionsWhereVersion3HasFeatures) {
  make("compat=0.10");
  put<std::uint32_t>(72, 0x12345678);  // a type that nobody knows
  put<std::uint32_t>(76, 13);
  put<std::uint64_t>(80, UINT64_MAX);  // its content
  put<std::uint64_t>(88, UINT64_MAX);
  put<std::uint64_t>(96, 0);
  expect_equal();
}

TEST_F(Qcow2Header, RefusesOtherVersions) {
  test::qemu_img({"create", "-q", "-f", "qcow", file_.string(), "4M"});
  expect_said("is qcow version 1, and kiln reads 2 and 3", "qcow2 header, bytes 4..7: version 1", Failure::refused);
  put<std::uint32_t>(4, 4);
  expect_said("is qcow version 4, and kiln reads 2 and 3", "qcow2 header, bytes 4..7: version 4", Failure::refused);
}

TEST_F(Qcow2Header, RefusesASecondFormatInItsSlack) {
  const auto expect_second = [this](const std::string& what) {
    expect_said("is two formats at once", "the qcow2 header is followed by " + what, Failure::refused);
  };
  make();
  put<std::uint16_t>(510, 0x55aa);
  expect_second("a boot sector (bytes 510..511)");
  make();
  put_text(512, "EFI PART");
  expect_second("a GPT (bytes 512..519)");
  make();
  put_text(32769, "CD001");
  expect_second("an ISO 9660 image (bytes 32769..32773)");
}

TEST_F(Qcow2Header, AcceptsADiskThatHoldsAnotherImage) {
  File raw = File::open_write(raw_);
  raw.write_at(0, std::as_bytes(std::span("QFI\xfb\0\0\0\3")));
  make("cluster_size=512");
  expect_equal();
}

struct Nonsense {
  std::uint64_t at;
  unsigned bytes;
  std::uint64_t value;
  const char* evidence;
};

TEST_F(Qcow2Header, NonsenseIsDamage) {
  const Nonsense all[] = {
      {20, 4, 8, "qcow2 header, bytes 20..23: cluster_bits is 8, not 9..21"},
      {20, 4, 63, "qcow2 header, bytes 20..23: cluster_bits is 63, not 9..21"},
      {96, 4, 7, "qcow2 header, bytes 96..99: refcount_order is 7, not 0..6"},
      {100, 4, 16, "qcow2 header, bytes 100..103: header_length is 16"},
      {100, 4, 108, "qcow2 header, bytes 100..103: header_length is 108"},
      {100, 4, 0xfffffff8, "qcow2 header, bytes 100..103: header_length is 4294967288"},
      {104, 1, 1, "qcow2 header, bytes 104..104: compression type 1 contradicts incompatible feature bit 3"},
      {36, 4, 0x80000000, "qcow2 header, bytes 36..39: the L1 table has 2147483648 entries"},
      {36, 4, 0, "qcow2 header, bytes 36..39: the L1 table has 0 entries, size 4194304 needs 1"},
      {24, 8, 1ull << 51,
       "qcow2 header, bytes 36..39: the L1 table has 1 entries, size 2251799813685248 needs 4194304"},
      {40, 8, 0, "qcow2 header, bytes 40..47: l1_table_offset is 0x0, not a cluster of its own"},
      {40, 8, 0x30200, "qcow2 header, bytes 40..47: l1_table_offset is 0x30200, not a cluster of its own"},
      {48, 8, 0x10001, "qcow2 header, bytes 48..55: refcount_table_offset is 0x10001, not a cluster of its own"},
      {56, 4, 0xffffffff, "qcow2 header, bytes 56..59: refcount_table_clusters is 4294967295"},
      {60, 4, 0xffffffff, "qcow2 header, bytes 60..63: nb_snapshots is 4294967295"},
      {116, 4, 0xffff0000, "qcow2 header extension 0x6803f857 at byte 112: length 4294901760 does not fit"},
  };
  for (const Nonsense& n : all) {
    make();
    if (n.bytes == 1) put(n.at, static_cast<std::uint8_t>(n.value));
    if (n.bytes == 4) put(n.at, static_cast<std::uint32_t>(n.value));
    if (n.bytes == 8) put(n.at, n.value);
    SCOPED_TRACE(n.evidence);
    expect_damaged(n.evidence);
  }
}

TEST_F(Qcow2Header, ASizeThatOverflowsIsNamed) {
  for (const std::uint64_t size : {std::uint64_t{1} << 63, UINT64_MAX}) {
    make();
    put(24, size);
    expect_said("has a virtual size that overflows", "qcow2 header, bytes 24..31: size " + std::to_string(size),
                Failure::failed);
  }
}

TEST_F(Qcow2Header, TablesPastTheEndAreATruncatedFile) {
  make();
  put<std::uint64_t>(40, std::uint64_t{1} << 40);
  expect_said(
      "is truncated",
      "the qcow2 L1 table ends at byte 1099511627784, the file at " + std::to_string(std::filesystem::file_size(file_)),
      Failure::failed);
  put<std::uint64_t>(40, 0xffffffffffff0000);
  expect_said("is truncated",
              "the qcow2 L1 table ends at byte 18446744073709486088, the file at " +
                  std::to_string(std::filesystem::file_size(file_)),
              Failure::failed);
}

TEST_F(Qcow2Header, IsRecognisedByItsFirstBytesAlone) {
  make();
  std::array<std::byte, 512> head{};
  File::open_read(file_).read_at(0, head);
  EXPECT_EQ(format_.probe({head, head, 512}), Match::yes);
  head[3] = std::byte{0};
  EXPECT_EQ(format_.probe({head, head, 512}), Match::no);
  EXPECT_EQ(format_.probe({}), Match::no);
  EXPECT_EQ(test::said([this] { format_.open(raw_); }).what, raw_.string() + " is not a qcow2 file");
}

}  // namespace
}  // namespace kiln
