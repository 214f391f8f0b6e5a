// The text of a descriptor: what is understood, and that nothing else is.

#include "formats/vmdk/vmdk_files.h"

namespace kiln {
namespace {

using test::KiB;
using test::MiB;
using test::vmdk;
using test::why_not;

constexpr std::uint64_t sectors = 2048;  // of each flat file

std::string text(const std::string& extents, const std::string& type = "twoGbMaxExtentFlat",
                 const std::string& more = {}) {
  return "# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\ncreateType=\"" + type + "\"\n" + more +
         "\n# Extent description\n" + extents + "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"ide\"\n";
}
const std::string one = "RW 2048 FLAT \"a-flat.vmdk\" 0\n";

class VmdkDescriptor : public testing::Test {
 protected:
  VmdkDescriptor() {
    test::write_raw(dir / "a-flat.vmdk", {"a", sectors * 512, {{0, 64 * KiB}}});
    test::write_raw(dir / "b-flat.vmdk", {"b", sectors * 512, {{512 * KiB, 64 * KiB}}}, 2);
  }

  std::string says(const std::string& descriptor) {
    std::filesystem::remove(file);
    test::put_text((File::create(file), file), 0, descriptor);
    return why_not(file);
  }
  /// The line's number and what is said of it.
  std::string says_of(const std::string& code, const std::string& descriptor) {
    const std::string why = says(descriptor), begin = code + ": ";
    EXPECT_EQ(why.substr(0, begin.size()), begin) << why;
    const std::size_t at = why.find("; VMDK descriptor");
    return at == std::string::npos ? why : why.substr(at + 2);
  }

  test::TempDir dir;
  const std::filesystem::path file = dir / "disk.vmdk";
};

TEST_F(VmdkDescriptor, IsUnderstood) {
  EXPECT_EQ(says(text(one, "monolithicFlat")), "read");
  EXPECT_EQ(says(text(one + "RW 2048 FLAT \"b-flat.vmdk\" 0\n")), "read");
  EXPECT_EQ(says(text(one, "monolithicFlat", "encoding=\"windows-1252\"\nisNativeSnapshot=\"no\"\n")), "read");
  EXPECT_EQ(says(text(one, "monolithicFlat",
                      "ddb.uuid.parent=\"00000000-0000-0000-0000-000000000000\"\n"
                      "ddb.comment=\"\"\nddb.uuid.parentmodification = \"x\"\n")),
            "read");
  EXPECT_EQ(says(text(one, "monolithicFlat", "# Change Tracking File\nchangeTrackPath=\"a-ctk.vmdk\"\n")), "read");
  EXPECT_EQ(says("\n \r\n#  disk descriptorFILE" + text(one, "monolithicFlat").substr(21)).substr(0, 15),
            "FormatMismatch:");
  std::string dos;
  for (const char c : text(one, "monolithicFlat")) dos += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_EQ(says(dos), "read");
  EXPECT_EQ(says("\r\n" + dos), "read");
}

TEST_F(VmdkDescriptor, PutsExtentsBehindEachOther) {
  ASSERT_EQ(says(text(one + "RW 100 ZERO\nRW 1024 FLAT \"b-flat.vmdk\" 1024\n")), "read");
  const auto raw = dir / "raw";
  File out = File::create(raw);
  out.truncate((2048 + 100 + 1024) * 512);
  std::vector<std::byte> bytes(MiB);
  File::open_read(dir / "a-flat.vmdk").read_at(0, bytes);
  out.write_at(0, bytes);
  File::open_read(dir / "b-flat.vmdk").read_at(0, bytes);
  out.write_at(2148 * 512, std::span(bytes).subspan(512 * KiB));
  const auto disk = vmdk().open(file);
  EXPECT_TRUE(test::same_as_raw(*disk, raw));
  std::vector<std::byte> across(3172 * 512);  // in one read
  disk->read(0, across);
  std::vector<std::byte> want(across.size());
  out.read_at(0, want);
  EXPECT_EQ(across, want);
  const Inspection found = vmdk().inspect(file);
  EXPECT_EQ(found.beside, (std::vector<std::filesystem::path>{dir / "a-flat.vmdk", dir / "b-flat.vmdk"}));
  EXPECT_EQ(found.details.at("extents"), "3");
  EXPECT_EQ(found.details.at("adapter"), "ide");
}

TEST_F(VmdkDescriptor, LinesOfExtentsAreReadExactly) {
  const auto extent = [&](const std::string& lines) { return says_of("ExternalExtent", text(lines)); };
  const std::string line = "VMDK descriptor, line 8: ", not_understood = " is not understood";
  const auto quoted = [&](const std::string& s) { return line + '"' + s + '"'; };
  EXPECT_EQ(extent("RW\n2048 FLAT \"a-flat.vmdk\" 0\n"), quoted("RW") + not_understood);
  EXPECT_EQ(extent("RW 2048 FLAT\n\"a-flat.vmdk\" 0\n"), quoted("RW 2048 FLAT") + not_understood);
  EXPECT_EQ(extent("RW\t2048 FLAT \"a-flat.vmdk\" 0\n"), quoted("RW\\t2048 FLAT \"a-flat.vmdk\" 0") + not_understood);
  EXPECT_EQ(extent("\tRW 2048 FLAT \"a-flat.vmdk\" 0\n"), quoted("\\tRW 2048 FLAT \"a-flat.vmdk\" 0") + not_understood);
  EXPECT_EQ(extent(" RW 2048 FLAT \"a-flat.vmdk\" 0\n"), quoted(" RW 2048 FLAT \"a-flat.vmdk\" 0") + not_understood);
  for (const std::string bad :
       {"RW  2048 FLAT \"a-flat.vmdk\" 0", "RW -2048 FLAT \"a-flat.vmdk\" 0", "RW 0 FLAT \"a-flat.vmdk\" 0",
        "RW 0x800 FLAT \"a-flat.vmdk\" 0", "RW 99999999999999999999 FLAT \"a-flat.vmdk\" 0",
        "RW 9223372036854775807 FLAT \"a-flat.vmdk\" 0", "RW 2048 FLAT a-flat.vmdk 0", "RW 2048 FLAT \"a-flat.vmdk",
        "RW 2048 FLAT \"a-flat.vmdk\"", "RW 2048 FLAT \"a-flat.vmdk\"0", "RW 2048 FLAT \"a-flat.vmdk\" 0 0",
        "RW 2048 FLAT \"a-flat.vmdk\" -1", "RW 2048 FLAT \"a-flat.vmdk\" 18014398509481983",
        "RW 2048 ZERO \"a-flat.vmdk\"", "RW 2048 ZERO 0", "RW 2048 SPARSE \"a-flat.vmdk\" 0", "RW 2048"})
    EXPECT_EQ(extent(bad + "\n"), quoted(bad) + not_understood);
  const std::string blank = ": it follows a blank line, and programs disagree on that";
  EXPECT_EQ(extent("\n" + one), "VMDK descriptor, line 9: \"RW 2048 FLAT \"a-flat.vmdk\" 0\"" + blank);
  EXPECT_EQ(extent(one + " \nRW 2048 FLAT \"b-flat.vmdk\" 0\n"),
            "VMDK descriptor, line 10: \"RW 2048 FLAT \"b-flat.vmdk\" 0\"" + blank);
  for (const std::string access : {"RDONLY", "NOACCESS", "rw"})
    EXPECT_EQ(extent(access + " 2048 FLAT \"a-flat.vmdk\" 0\n"),
              quoted(access + " 2048 FLAT \"a-flat.vmdk\" 0") + ": it is not for reading and writing");
  EXPECT_EQ(extent("RW 2048 DEVICE \"sda\"\n"),
            "VMDK descriptor, line 8: an extent of type \"DEVICE\" in a disk of type "
            "\"twoGbMaxExtentFlat\"");
  EXPECT_EQ(extent(""), "VMDK descriptor: 0 extents in a disk of type \"twoGbMaxExtentFlat\"");
  EXPECT_EQ(says_of("ExternalExtent", text(one + "RW 2048 FLAT \"b-flat.vmdk\" 0\n", "monolithicFlat")),
            "VMDK descriptor: 2 extents in a disk of type \"monolithicFlat\"");
}

TEST_F(VmdkDescriptor, NamesArePlainAndGivenOnce) {
  for (const std::string name :
       {"/etc/passwd", "../a-flat.vmdk", "./a-flat.vmdk", "x/a-flat.vmdk", ".", "..", "", "C:a-flat.vmdk",
        "x\\\\a-flat.vmdk", "nbd:localhost:10809", "json:{}", "/dev/zero", "file:a-flat.vmdk"}) {
    const std::string why = says_of("ExternalExtent", text("RW 2048 FLAT \"" + name + "\" 0\n"));
    EXPECT_EQ(why.substr(why.rfind(": ")), ": its name is no plain one") << name;
  }
  const std::string twice = says_of("ExternalExtent", text(one + "RW 2048 FLAT \"a-flat.vmdk\" 0\n"));
  EXPECT_EQ(twice.substr(twice.rfind(": ")), ": its name is given twice");
  std::string many;
  for (int i = 0; i < 769; ++i) many += "RW 1 FLAT \"" + std::to_string(i) + "\" 0\n";
  EXPECT_EQ(says(text(many)).substr(0, 69), "UnsupportedFeature: disk.vmdk consists of more than 768 files; VMDK d");
}

TEST_F(VmdkDescriptor, SettingsAreReadOnce) {
  const auto setting = [&](const std::string& code, const std::string& line) {
    return says_of(code, text(one, "monolithicFlat", line + "\n"));
  };
  EXPECT_EQ(setting("ExternalExtent", "createType=\"vmfs\""),
            "VMDK descriptor, line 6: \"createType=\"vmfs\"\": the setting is there twice");
  EXPECT_EQ(setting("Damaged", "CID=1"), "VMDK descriptor, line 6: \"CID=1\": the setting is there twice");
  for (const std::string line : {"unknown=1", "nonsense", "# createType=\"vmfs\"", "# CID=5", "version", " CID=1",
                                 "encoding=\"UTF-8", "/* createType=\"vmfs\" */"})
    EXPECT_EQ(setting("Damaged", line), "VMDK descriptor, line 6: \"" + line + "\" is not understood");
  EXPECT_EQ(says_of("Damaged", text(one, "monolithicFlat").replace(22, 9, "version=5")),
            "VMDK descriptor, line 2: \"version=5\" is not understood");
  EXPECT_EQ(says("# Disk DescriptorFile\nversion=1\n# created\n" + one),
            "ExternalExtent: disk.vmdk is damaged; VMDK descriptor: no createType");
  EXPECT_EQ(says("# Disk DescriptorFile\n# createType=\"monolithicFlat\"\n" + one).substr(0, 8), "Damaged:");
  EXPECT_EQ(says("# Disk DescriptorFile\ncreateType=monolithicFlat\n" + one).substr(0, 8), "Damaged:");
  const std::string control = text(one, "monolithicFlat", std::string("ddb.x=\"\x01\"\n"));
  EXPECT_EQ(says_of("Damaged", control), "VMDK descriptor, line 6: \"ddb.x=\"\\x01\"\" is not understood");
}

TEST_F(VmdkDescriptor, WhatIsNotWholeIsRefused) {
  const auto setting = [&](const std::string& code, const std::string& line) {
    return says_of(code, text(one, "monolithicFlat", line + "\n"));
  };
  EXPECT_EQ(setting("ParentNeeded", "parentFileNameHint=\"base.vmdk\""),
            "VMDK descriptor, line 6: \"parentFileNameHint=\"base.vmdk\"\"");
  EXPECT_EQ(setting("ParentNeeded", "ddb.nativeParentHint = \"base.vmdk\""),
            "VMDK descriptor, line 6: \"ddb.nativeParentHint = \"base.vmdk\"\"");
  std::string child = text(one, "monolithicFlat");
  child.replace(child.find("ffffffff"), 8, "1234abcd");
  EXPECT_EQ(says_of("ParentNeeded", child), "VMDK descriptor, line 4: \"parentCID=1234abcd\"");
  EXPECT_EQ(setting("Encrypted", "encryption.keySafe=\"vmware:key\""),
            "VMDK descriptor, line 6: \"encryption.keySafe=\"vmware:key\"\"");
  EXPECT_EQ(setting("Encrypted", "ddb.iofilters = \"vmwarevmcrypt\""),
            "VMDK descriptor, line 6: \"ddb.iofilters = \"vmwarevmcrypt\"\"");
}

TEST_F(VmdkDescriptor, TypesThatAreNotReadAreNamed) {
  const auto type = [&](const std::string& code, const std::string& name) { return says_of(code, text(one, name)); };
  for (const std::string name : {"seSparse", "custom", "monolithicflat", "vmfsThin"})
    EXPECT_EQ(type("UnsupportedFeature", name), "VMDK descriptor: createType \"" + name + "\"");
  for (const std::string name :
       {"fullDevice", "partitionedDevice", "vmfsRaw", "vmfsRDM", "vmfsRDMP", "monolithicSparse", "streamOptimized"})
    EXPECT_EQ(type("ExternalExtent", name), "VMDK descriptor: createType \"" + name + "\"");
}

TEST_F(VmdkDescriptor, EncodingsBeyondAsciiAreReadAsUtf8Only) {
  std::filesystem::copy_file(dir / "a-flat.vmdk", dir / "bär-flat.vmdk");
  const std::string umlaut = "RW 2048 FLAT \"bär-flat.vmdk\" 0\n";
  EXPECT_EQ(says(text(umlaut, "monolithicFlat")), "read");
  EXPECT_EQ(says(text(umlaut, "monolithicFlat", "encoding=\"UTF-8\"\n")), "read");
  EXPECT_EQ(says_of("UnsupportedFeature", text(umlaut, "monolithicFlat", "encoding=\"windows-1252\"\n")),
            "VMDK descriptor: encoding \"windows-1252\", and characters beyond ASCII");
}

TEST_F(VmdkDescriptor, LongerThanAnyIsRefused) {
  std::string padded = text(one, "monolithicFlat") + "ddb.comment = \"" + std::string(64 * KiB, 'x') + "\"\n";
  EXPECT_EQ(says_of("Damaged", padded),
            "VMDK descriptor: " + std::to_string(padded.size()) + " bytes, more than 65536");
  // Filled up with NULs, or with what a longer text has left.
  EXPECT_EQ(says(text(one, "monolithicFlat") + std::string(1000, '\0')), "read");
  EXPECT_EQ(says(text(one, "monolithicFlat") + std::string(1, '\0') + "RW 5"), "read");
}

}  // namespace
}  // namespace kiln
