// Archives of one disk, as Google's cloud exports them and as Vagrant keeps them, made by GNU tar.
#include <gmock/gmock.h>

#include "plugins/import/import_run.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using test::ImportRun;
using test::sample;
using testing::AnyOf;
using testing::HasSubstr;

constexpr std::uint64_t MiB = 1 << 20;

class LoneDisk : public testing::Test {
 protected:
  /// A disk with an ext4's mark and `runs` further pieces of data.
  void make_disk(std::size_t runs, std::uint64_t size = 48 * MiB) {
    fs::remove(raw);
    File file = File::create(raw);
    file.truncate(size);
    std::vector<std::byte> piece(4096);
    test::fill(piece, test::Piece::Kind::random, 3);
    std::vector<std::byte> head(4096);
    head[1080] = std::byte{0x53};
    head[1081] = std::byte{0xEF};
    file.write_at(0, head);
    for (std::size_t i = 0; i < runs; ++i) file.write_at((2 * i + 3) * 64 * 1024, piece);
  }
  fs::path tar(const std::vector<std::string>& words, const std::string& name = "disk.tar") {
    fs::remove(dir / name);
    std::vector<std::string> command{"tar", "-C", dir.path(), "-f", dir / name};
    command.insert(command.end(), words.begin(), words.end());
    const test::Outcome made = test::run(command);
    EXPECT_EQ(made.status, 0) << made.output;
    return dir / name;
  }
  fs::path google(const std::string& compress = "-c") { return tar({"--format=oldgnu", "-S", compress, "disk.raw"}); }
  /// The archive with bytes replaced and the header's checksum mended.
  fs::path changed(std::string bytes, std::size_t at, const std::string& with) const {
    bytes.replace(at, with.size(), with);
    bytes.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(bytes[i]);
    char text[9];
    std::snprintf(text, sizeof text, "%06o", sum & 0777777);
    bytes.replace(148, 8, std::string(text) + std::string("\0 ", 2));
    const fs::path path = dir / "changed.tar";
    fs::remove(path);
    File::create(path).write_at(0, std::as_bytes(std::span(bytes)));
    return path;
  }

  const test::TempDir dir;
  const fs::path raw = dir / "disk.raw";
};

TEST_F(LoneDisk, OfGooglesCloudIsTakenWithItsHoles) {
  for (const std::size_t runs : {0u, 1u, 5u, 26u, 300u}) {  // in the header, in one extension of it, in several
    make_disk(runs);
    const fs::path archive = google();
    EXPECT_LT(fs::file_size(archive), (runs + 20) * 4096);
    ImportRun import;
    import.run(archive);
    ASSERT_TRUE(import.ctx.produced);
    EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, raw)) << runs;
    EXPECT_EQ(import.ctx.known_facts.at("source.format"), "tar");
    EXPECT_EQ(import.ctx.known_facts.at("disk.layout"), "ext4");
  }
  ImportRun packed;
  packed.run(tar({"--format=oldgnu", "-S", "-z", "-c", "disk.raw"}, "disk.tar.gz"));
  EXPECT_TRUE(test::same_as_raw(*packed.ctx.produced, raw));
  EXPECT_EQ(packed.ctx.known_facts.at("source.compression"), "gzip");
  EXPECT_EQ(packed.ctx.summed_up, "disk.tar.gz  tar, 1 disk (raw with holes), 48.0 MiB");
}

TEST_F(LoneDisk, EndsInAHoleOrInData) {
  for (const std::uint64_t size : {MiB, MiB + 512, 3 * 64 * 1024 + 4096ul}) {
    make_disk(1, size);
    ImportRun import;
    import.run(google());
    EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, raw)) << size;
  }
}

TEST_F(LoneDisk, IsTakenAsItIsFromAnyTar) {
  make_disk(3);
  for (const char* format : {"ustar", "oldgnu", "gnu", "pax"}) {
    ImportRun import;
    import.run(tar({std::string("--format=") + format, "-c", "disk.raw"}));
    EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, raw)) << format;
    EXPECT_EQ(import.ctx.summed_up, "disk.tar  tar, 1 disk (raw), 48.0 MiB");
  }
}

TEST_F(LoneDisk, OfOraclesCloud) {
  write_text(dir / "output.QCOW2", sample(1).qcow2);
  write_text(dir / "image_metadata.json", R"({"version": 2})");
  ImportRun import;
  import.run(tar({"-c", "image_metadata.json", "output.QCOW2"}, "web.oci"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  EXPECT_EQ(import.ctx.known_facts.at("source.format"), "tar");
  EXPECT_EQ(import.ctx.known_facts.at("source.disks"), "qcow2 v3");
}

TEST_F(LoneDisk, OfXenServerIsCalledByItsName) {
  write_text(dir / "ova.xml", "<value/>");
  fs::create_directory(dir / "Ref:1");
  write_text(dir / "Ref:1/00000000", std::string(1 << 20, 'x'));
  const Error error = ImportRun().refusal(tar({"-c", "ova.xml", "Ref:1/00000000"}, "web.xva"));
  EXPECT_EQ(error.code(), code::unsupported);
  EXPECT_THAT(error.what(), HasSubstr("is an XVA"));
}

TEST_F(LoneDisk, OfAVagrantBox) {
  write_text(dir / "box.img", sample(1).qcow2);
  write_text(dir / "metadata.json", R"({"provider": "libvirt", "format": "qcow2", "virtual_size": 1})");
  write_text(dir / "Vagrantfile", "Vagrant.configure\n");
  ImportRun import;
  import.run(tar({"-z", "-c", "metadata.json", "Vagrantfile", "box.img"}, "web.box"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
}

TEST_F(LoneDisk, MustBeADiskAndTheOnlyOne) {
  write_text(dir / "notes", std::string(100'000, 'x'));
  make_disk(0);
  EXPECT_EQ(ImportRun().refusal(tar({"-c", "disk.raw"}, "web.OVA")).code(), code::archive) << "it lacks its OVF";
  EXPECT_EQ(ImportRun().refusal(tar({"-c", "disk.raw", "notes"})).code(), code::archive);
  // What the bytes are is looked at behind the holes, too.
  fs::remove(raw);
  File::create(raw).truncate(MiB);
  const Error nothing = ImportRun().refusal(google());
  EXPECT_EQ(nothing.code(), code::unknown_format);
  EXPECT_THAT(nothing.hint(), HasSubstr("unpack the archive"));
  write_text(raw, sample(1).qcow2);
  fs::resize_file(raw, 8 * MiB);
  EXPECT_EQ(ImportRun().refusal(google()).code(), code::nested_format);
}

TEST_F(LoneDisk, OtherMapsOfHolesAreRefused) {
  make_disk(5);
  for (const char* version : {"0.0", "0.1", "1.0"}) {
    const Error error =
        ImportRun().refusal(tar({"--format=pax", std::string("--sparse-version=") + version, "-S", "-c", "disk.raw"}));
    EXPECT_EQ(error.code(), code::archive) << version;
    EXPECT_THAT(error.hint(), HasSubstr("tar -xSf"));
  }
}

/// The map's first four runs are at byte 386 of the header, twelve octal digits for an offset and for a length.
TEST_F(LoneDisk, MapsThatCannotBeAreRefused) {
  make_disk(2);
  const std::string good = read_text(google());
  ImportRun().run(changed(good, 386, ""));
  const std::vector<std::pair<std::size_t, std::string>> wrong{
      {410, "00000000000"},  // the second run begins where the first does
      {410, "77777777777"},  // beyond the member
      {398, "77777777777"},  // and this one ends there
      {422, "00000000100"},  // less than is stored
      {422, "00000100000"},  // more than is stored
      {483, "00000000777"},  // the member is smaller than its runs
      {124, "00000000001"},  // less is stored than the runs have
      {124, "77777777777"},  // more than the archive has
  };
  for (const auto& [at, digits] : wrong) {
    const Error error = ImportRun().refusal(changed(good, at, digits));
    EXPECT_THAT(error.code(), AnyOf(code::archive, code::damaged, code::truncated)) << at << ": " << error.what();
  }
}

TEST_F(LoneDisk, HeadersOfNoPlainFileAreRefused) {
  make_disk(0, MiB);
  const std::string good = read_text(tar({"--format=gnu", "-c", "disk.raw"}));
  for (const char type : {'V', 'M', 'X', 'A', 'D', 'N', '8', 'z'})
    EXPECT_EQ(ImportRun().refusal(changed(good, 156, std::string(1, type))).code(), code::archive) << type;
  // As many long names before one file as its reader has patience for.
  std::string name = good.substr(0, 512);
  name.replace(0, 13, "././@LongLink");
  name[156] = 'L';
  name.replace(124, 11, "00000001000");
  const std::string once = read_text(changed(name, 0, "")) + "disk.raw" + std::string(504, '\0');
  std::string many;
  for (int i = 0; i < 9; ++i) many += once;
  const Error error = ImportRun().refusal(changed(many + good, 0, ""));
  EXPECT_EQ(error.code(), code::archive);
  EXPECT_THAT(error.evidence().at(0), HasSubstr("more than 8 headers"));
  ImportRun().run(changed(once + good, 0, ""));
}

/// libarchive forgets such a map when it is asked how long it is.
TEST_F(LoneDisk, AMapOfNothingIsRefused) {
  make_disk(2);
  const std::string map = std::string(96, 'd') + '\0' + "00000000000";
  EXPECT_EQ(ImportRun().refusal(changed(read_text(google()), 386, map)).code(), code::archive);
}

TEST_F(LoneDisk, AMapWithoutEndIsRefusedBeforeItIsKept) {
  make_disk(30);
  std::string archive = read_text(google()).substr(0, 512);
  std::string extension(512, '0');
  extension[504] = '\1';
  for (int i = 0; i < 6000; ++i) archive += extension;
  const Error error = ImportRun().refusal(changed(archive, 482, "\1"));
  EXPECT_THAT(error.evidence().at(0), HasSubstr("more than 100000 runs"));
  archive.resize(10'000);
  EXPECT_EQ(ImportRun().refusal(changed(archive, 482, "\1")).code(), code::truncated);
}

}  // namespace
}  // namespace kiln
