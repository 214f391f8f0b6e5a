// Compressed files: whole ones, broken ones, and those that mean harm (T47).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "plugins/import/import_run.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using test::ImportRun;
using test::sample;
using testing::HasSubstr;

struct Packer {
  const char* name;
  const char* program;
  const char* ending;
};
constexpr std::array packers{Packer{"gzip", "gzip", ".gz"}, Packer{"xz", "xz", ".xz"}, Packer{"zstd", "zstd", ".zst"},
                             Packer{"bzip2", "bzip2", ".bz2"}};

class ImportUnpack : public testing::TestWithParam<Packer> {
 protected:
  fs::path write(const std::string& bytes, const std::string& name) {
    const fs::path path = dir / name;
    fs::remove(path);
    File::create(path).write_at(0, std::as_bytes(std::span(bytes)));
    return path;
  }
  static fs::path pack(const fs::path& file, const char* level = "-1") {
    const Packer& p = GetParam();
    fs::remove(file.string() + p.ending);
    if (test::run({p.program, level, "-k", "-q", file.string()}).status != 0) throw std::runtime_error(p.program);
    return file.string() + p.ending;
  }
  std::string packed(const std::string& bytes, const char* level = "-1") {
    return test::bytes_of(pack(write(bytes, "plain"), level));
  }

  const test::TempDir dir;
};

TEST_P(ImportUnpack, GivesWhatIsInIt) {
  for (const auto& [format, bytes] :
       {std::pair("qcow2", sample(1).qcow2), {"vhd", sample(1).vhd}, {"raw", test::bytes_of(sample(1).raw)}}) {
    ImportRun import;
    import.run(pack(write(bytes, "disk.img")));
    EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
    EXPECT_EQ(import.ctx.known_facts.at("source.format"), format);
    EXPECT_EQ(import.ctx.known_facts.at("source.compression"), GetParam().name);
    EXPECT_EQ(import.ctx.known_facts.at("source.file"), std::string("disk.img") + GetParam().ending);
    EXPECT_TRUE(fs::is_empty(import.ctx.scratch()));  // what was unpacked has no name
  }
}

TEST_P(ImportUnpack, KeepsHolesAsHoles) {
  const fs::path file = dir / "sparse.img";
  test::write_raw(file, {"sparse", 24u << 20, {{0, 4096}, {16u << 20, 4096}}});
  ImportRun import;
  import.run(pack(file), {{ "format", Value { std::string("raw") } }});
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, file));
  EXPECT_FALSE(import.ctx.produced->extent_at(1 << 20).data);
}

TEST_P(ImportUnpack, OutlivesTheStage) {
  std::shared_ptr<const BlockReader> disk;
  {
    ImportRun import;
    import.run(pack(write(sample(1).qcow2, "disk.qcow2")));
    disk = import.ctx.produced;
  }
  EXPECT_TRUE(test::same_as_raw(*disk, sample(1).raw));
}

TEST_P(ImportUnpack, ReadsPackagesInside) {
  const std::string ovf = test::ovf_of({{"a.qcow2", "a", std::to_string(test::SampleDisk::size), ""},
                                        {"b.vhd", "b", std::to_string(test::SampleDisk::size), "", "3", "1"}});
  const fs::path file =
      pack(write(test::tar_of({{"web.ovf", ovf}, {"a.qcow2", sample(1).qcow2}, {"b.vhd", sample(2).vhd}}), "web.ova"));
  ImportRun import;
  import.run(file);
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  ASSERT_EQ(import.ctx.known_parts.size(), 1U);
  EXPECT_EQ(import.ctx.known_parts[0].disk->content(), test::part_content(sample(2).raw));
  EXPECT_THAT(test::load_stage("import").fingerprint_with({{"file", Value{file}}}), HasSubstr("read at"));
  EXPECT_EQ(ImportRun().refusal(pack(write(ovf, "web.ovf"))).code(), code::external_extent);
}

TEST_P(ImportUnpack, T47_StreamsAfterEachOtherAreWhole) {
  const std::size_t half = sample(1).qcow2.size() / 2;
  const std::string first = packed(sample(1).qcow2.substr(0, half)), second = packed(sample(1).qcow2.substr(half));
  ImportRun import;
  import.run(write(first + second, "two"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
}

TEST_P(ImportUnpack, T47_RefusesWhatIsBroken) {
  const std::string whole = packed(sample(1).qcow2);
  for (const std::size_t size : {whole.size() - 1, whole.size() - 5, whole.size() / 2, std::size_t{20}})
    EXPECT_EQ(ImportRun().refusal(write(whole.substr(0, size), "cut")).code(), code::truncated) << size;
  // gzip: the CRC before the length; xz: the footer; zstd: the checksum; bzip2: the last CRC.
  for (const std::size_t place : {whole.size() - 3, whole.size() - 6, whole.size() / 2}) {
    std::string bad = whole;
    bad[place] = static_cast<char>(bad[place] ^ 0x10);
    EXPECT_THAT(ImportRun().refusal(write(bad, "bad")).code(),
                testing::AnyOf(code::checksum, code::damaged, code::truncated, code::archive))
        << place;
  }
  for (const std::string& tail : {std::string(600, 'x'), std::string("\x1f"), std::string(512, '\xff')})
    EXPECT_THAT(ImportRun().refusal(write(whole + tail, "junk")).code(),
                testing::AnyOf(code::archive, code::damaged, code::truncated));
  EXPECT_EQ(ImportRun().refusal(pack(write("", "empty"))).code(), code::invalid_size);
}

/// Zeros up to the end of a tape's or a partition's block, which gzip, bzip2 and xz leave alone themselves.
TEST_P(ImportUnpack, LeavesPaddingAlone) {
  const std::string program = GetParam().name;
  if (program == "zstd") return;  // it does not
  ImportRun import;
  import.run(write(packed(sample(1).qcow2) + std::string(4096, '\0'), "padded"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
}

/// OpenWrt's images carry facts and a signature behind the compressed disk.
TEST_P(ImportUnpack, LeavesTheTrailerOfOpenWrtAlone) {
  if (std::string(GetParam().name) != "gzip") return;
  const std::string trailer = "# fake certificate\n" + std::string("FWx0\x12\x34\x56\x78\x01\0\0\0\0\0\0\x23", 16);
  ImportRun import;
  import.run(write(packed(sample(1).qcow2) + trailer, "openwrt.img.gz"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  EXPECT_EQ(ImportRun().refusal(write(packed(sample(1).qcow2) + trailer + "x", "x.gz")).code(), code::archive);
}

TEST_P(ImportUnpack, T47_RefusesToUnpackTwice) {
  const fs::path once = write(packed(sample(1).qcow2), "once");
  const Error error = ImportRun().refusal(pack(once));
  EXPECT_EQ(error.code(), code::nested_format);
  EXPECT_THAT(error.what(), HasSubstr("is compressed twice"));
}

TEST_P(ImportUnpack, T47_StopsAtTheLimits) {
  const auto repeated = [](const std::string& stream, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += stream;
    return all;
  };
  const fs::path zeros = write(repeated(packed(std::string(1 << 20, '\0')), 40), "zeros");
  const Error large = ImportRun().refusal(zeros, {{"unpack_limit", Value{Bytes{32u << 20}}}});
  EXPECT_EQ(large.code(), code::disk_too_large);
  ImportRun().run(zeros, {{"format", Value{std::string("raw")}}});
  // What is not zero costs room: gzip's best is 1032:1, the others' much more.
  const Error bomb = ImportRun().refusal(write(repeated(packed(std::string(1 << 20, '\xff'), "-6"), 200), "bomb"));
  EXPECT_EQ(bomb.code(), code::bomb) << bomb.what();
  EXPECT_THAT(bomb.evidence(), testing::Contains(HasSubstr("that are not zero")));
}

/// gzip's CRC, and what zstd has at a frame's end. liblzma and libbz2 do not tell theirs from other damage.
TEST_P(ImportUnpack, T47_ComparesChecksums) {
  const std::string program = GetParam().program;
  std::string bad = packed(sample(1).qcow2);
  char& byte = bad[bad.size() - (program == "gzip" ? 6 : 2)];
  byte = static_cast<char>(byte ^ 1);
  const bool told = program == "gzip" || program == "zstd";
  EXPECT_EQ(ImportRun().refusal(write(bad, "bad")).code(), told ? code::checksum : code::damaged);
}

INSTANTIATE_TEST_SUITE_P(All, ImportUnpack, testing::ValuesIn(packers),
                         [](const auto& one) { return std::string(one.param.name); });

/// pzstd writes one before each frame.
TEST_P(ImportUnpack, MayBeginWithAFrameToSkip) {
  if (std::string(GetParam().name) != "zstd") return;
  const std::string skipped("\x50\x2a\x4d\x18\x04\0\0\0\x01\x02\x03\x04", 12);
  ImportRun import;
  import.run(write(skipped + packed(sample(1).qcow2), "p.zst"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
}

class ImportZip : public ImportUnpack {};

TEST_P(ImportZip, HasOneFile) {
  ImportRun import;
  import.run(write(test::zip_of({{ "folder/disk.qcow2", sample(1).qcow2 }}), "disk.zip"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  EXPECT_EQ(import.ctx.known_facts.at("source.compression"), "zip");
  EXPECT_EQ(
      ImportRun().refusal(write(test::zip_of({{"a", sample(1).qcow2}, {"b", sample(1).qcow2}}), "two.zip")).code(),
      code::archive);
  for (const char* name : {"../a", "/etc/passwd", "a/../../b"})
    EXPECT_EQ(ImportRun().refusal(write(test::zip_of({{name, sample(1).qcow2}}), "bad.zip")).code(), code::archive);
  const auto link = [](archive_entry* e) {
    archive_entry_set_filetype(e, AE_IFLNK);
    archive_entry_set_size(e, 0);
    archive_entry_set_symlink(e, "/etc/shadow");
  };
  EXPECT_EQ(ImportRun().refusal(write(test::zip_of({{"a", "", link}}), "link.zip")).code(), code::archive);
}

TEST_P(ImportZip, MayHoldWhatMacOsAdds) {
  const auto folder = [](archive_entry* e) { archive_entry_set_filetype(e, AE_IFDIR); };
  ImportRun import;
  import.run(write(test::zip_of({{"web/", "", folder},
                                 {"__MACOSX/web/._disk.qcow2", "what the Finder knows of it"},
                                 {"web/.DS_Store", "windows"},
                                 { "web/disk.qcow2",
                                   sample(1).qcow2 }}),
                   "mac.zip"));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
}

TEST_P(ImportZip, T47_RefusesWhatIsBroken) {
  const std::string whole = test::zip_of({{"disk.qcow2", sample(1).qcow2}});
  std::string bad = whole;
  bad[whole.size() / 2] = static_cast<char>(bad[whole.size() / 2] ^ 1);
  for (const std::string& zip : {bad, whole.substr(0, whole.size() / 2), whole.substr(0, 100)})
    EXPECT_EQ(ImportRun().refusal(write(zip, "bad.zip")).code(), code::damaged);
  const std::string bomb = test::zip_of({{"a", std::string(90u << 20, '\xff')}});
  EXPECT_EQ(ImportRun().refusal(write(bomb, "bomb.zip")).code(), code::bomb);
}

INSTANTIATE_TEST_SUITE_P(Zip, ImportZip, testing::Values(packers[0]), [](const auto&) { return std::string("zip"); });

}  // namespace
}  // namespace kiln
