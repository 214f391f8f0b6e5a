// OVAs as the vendors make them, and hostile ones: cases T39 to T46 of the threats that imports are tested against.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <kiln/endian.h>

#include "plugins/import/import_run.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using test::ImportRun;
using test::OvfDiskText;
using test::sample;
using test::TarMember;
using testing::Contains;
using testing::HasSubstr;
using Size = std::uint64_t;

const std::string capacity = std::to_string(test::SampleDisk::size);

class ImportOva : public testing::Test {
 protected:
  fs::path write(const std::string& bytes, const std::string& name = "web.ova") {
    const fs::path path = dir / name;
    fs::remove(path);
    File::create(path).write_at(0, std::as_bytes(std::span(bytes)));
    return path;
  }
  fs::path write(const std::vector<TarMember>& members) { return write(test::tar_of(members)); }
  std::string ovf(std::vector<OvfDiskText> disks, std::map<std::string, std::string> more = {}) {
    return test::ovf_of(disks, std::move(more));
  }
  std::string manifest(const std::vector<TarMember>& members) {
    std::string text;
    for (const TarMember& member : members)
      text += "SHA256(" + member.name + ")= " + test::digest_text(member.content) + "\n";
    return text;
  }
  Error refusal(const std::vector<TarMember>& members) { return ImportRun().refusal(write(members)); }
  std::string code(const std::vector<TarMember>& members) { return refusal(members).code(); }

  const test::TempDir dir;
  const std::string qcow2 = sample(1).qcow2;
  const std::string plain =
      ovf({{"disk1.qcow2", "d1", capacity, "http://www.gnome.org/~markmc/qcow-image-format.html"}});
};

TEST_F(ImportOva, OfAnyTarIsTakenWithoutUnpacking) {
  for (const auto kind : {archive_write_set_format_ustar, archive_write_set_format_gnutar, archive_write_set_format_pax,
                          archive_write_set_format_pax_restricted}) {
    std::vector<TarMember> members{{"web.ovf", plain}, {"disk1.qcow2", qcow2}};
    members.push_back({"web.mf", manifest(members)});
    ImportRun import;
    import.run(write(test::tar_of(members, kind)));
    ASSERT_TRUE(import.ctx.produced);
    EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
    EXPECT_EQ(import.ctx.summed_up, "web.ova  ova, 1 disk (qcow2 v3), 3.0 MiB");
    EXPECT_TRUE(import.ctx.findings.empty());
    EXPECT_TRUE(import.ctx.known_parts.empty());
    const Facts& facts = import.ctx.known_facts;
    EXPECT_EQ(facts.at("source.format"), "ova");
    EXPECT_EQ(facts.at("machine.cpus"), "4");
    EXPECT_EQ(facts.at("machine.memory"), "2147483648");
    EXPECT_EQ(facts.at("machine.nic"), "e1000e");
    EXPECT_EQ(facts.at("origin.name"), "web server");
    EXPECT_EQ(facts.at("origin.os"), "Debian GNU/Linux 11 (64-bit)");
    EXPECT_EQ(facts.at("disk.layout"), "mbr");
  }
}

TEST_F(ImportOva, HasItsDisksInTheOrderOfItsControllers) {
  // In the order of the file: the second of the first IDE controller, of the SCSI controller, of the other IDE one.
  const std::string text = ovf({{"c.vhd", "c", capacity, "", "4", "0"},
                                {"b.qcow2", "b", capacity, "", "5", "1"},
                                {"a.img", "a", capacity, "http://en.wikipedia.org/wiki/Byte", "3", "0"}});
  ImportRun import;
  import.run(write({{"a.img", test::bytes_of(sample(1).raw)}, {"web.ovf", text}, {"b.qcow2", sample(2).qcow2}, {
                      "c.vhd",
                      sample(3).vhd
                    }}));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  ASSERT_EQ(import.ctx.known_parts.size(), 2U);
  for (const std::size_t i : {1U, 2U}) {
    const NewPart& part = import.ctx.known_parts[i - 1];
    EXPECT_EQ(part.role, part_role::data);
    EXPECT_EQ(part.name, "disk" + std::to_string(i));
    EXPECT_EQ(part.disk->virtual_size(), test::SampleDisk::size);
    EXPECT_EQ(part.disk->content(), test::part_content(sample(i + 1).raw));
    EXPECT_EQ(import.ctx.known_facts.at("disk.layout." + part.name), "mbr");
  }
  EXPECT_THAT(import.ctx.summed_up, HasSubstr("ova, 3 disks (raw, qcow2 v3, vhd dynamic), 9.0 MiB"));
  ASSERT_EQ(import.ctx.findings.size(), 1U);
  EXPECT_EQ(import.ctx.findings[0].what, "the package has no manifest: nothing says whether it is whole");
}

TEST_F(ImportOva, IsReadAnewInEveryRunWhenItHasParts) {
  const Stage& stage = test::load_stage("import");
  const std::string two = ovf({{"a.qcow2", "a", capacity, ""}, {"b.qcow2", "b", capacity, "", "3", "1"}});
  const auto print = [&] { return stage.fingerprint_with({{"file", Value{dir / "web.ova"}}}); };
  write({{"web.ovf", two}, {"a.qcow2", qcow2}, {"b.qcow2", qcow2}});
  EXPECT_THAT(print(), HasSubstr("read at"));
  write({{"web.ovf", plain}, {"disk1.qcow2", qcow2}});
  EXPECT_THAT(print(), testing::Not(HasSubstr("read at")));
}

TEST_F(ImportOva, NoticesThatItIsWrittenTo) {
  ImportRun import;
  const fs::path file = write({{"web.ovf", plain}, {"disk1.qcow2", qcow2}});
  import.run(file);
  test::flip_byte(file, fs::file_size(file) - 1);
  std::vector<std::byte> bytes(512);
  EXPECT_THROW(import.ctx.produced->read(0, bytes), Error);
}

TEST_F(ImportOva, T39_RefusesWhatIsNoPlainFile) {
  using Change = std::function<void(archive_entry*)>;
  const auto type = [](unsigned mode) { return [mode](archive_entry* e) { archive_entry_set_filetype(e, mode); }; };
  const std::map<std::string, Change> changes{
      {"a symbolic link",
       [](archive_entry* e) {
         archive_entry_set_filetype(e, AE_IFLNK);
         archive_entry_set_size(e, 0);
         archive_entry_set_symlink(e, "/etc/shadow");
       }},
      {"a hard link",
       [](archive_entry* e) {
         archive_entry_set_size(e, 0);
         archive_entry_set_hardlink(e, "web.ovf");
       }},
      {"a device", type(AE_IFCHR)},
      {"a pipe", type(AE_IFIFO)},
      {"a folder", type(AE_IFDIR)},
      {"would run as somebody else", [](archive_entry* e) { archive_entry_set_perm(e, 04755); }}};
  for (const auto& [what, change] : changes) {
    const Error error = refusal({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"more", "", change}});
    EXPECT_THAT(error.what(), HasSubstr(what));
    EXPECT_EQ(error.code(), code::archive) << what;
    EXPECT_EQ(error.failure(), Failure::refused);
    EXPECT_THAT(error.evidence(), Contains(HasSubstr("tar header at byte ")));
  }
}

TEST_F(ImportOva, T39_RefusesNamesThatLeadElsewhere) {
  for (const char* name :
       {"../disk1.qcow2", "/etc/passwd", "folder/disk1.qcow2", "..", "./disk1.qcow2", "a\\b", "a\nb"})
    EXPECT_EQ(code({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {name, "x"}}), code::archive) << name;
  const std::string pax = test::tar_of(
      {{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"../" + std::string(200, 'x'), "x"}}, archive_write_set_format_pax);
  EXPECT_EQ(ImportRun().refusal(write(pax)).code(), code::archive);
}

/// "tar -C folder -cf web.ova .", on macOS, too.
TEST_F(ImportOva, MayBeMadeOfAFolder) {
  const auto folder = [](archive_entry* e) { archive_entry_set_filetype(e, AE_IFDIR); };
  std::vector<TarMember> members{
      {"./", "", folder}, {"./._web.ovf", "what macOS knows of it"}, {"./web.ovf", plain}, {"./disk1.qcow2", qcow2}};
  ImportRun import;
  import.run(write(members));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  members.push_back({"disk1.qcow2", qcow2});
  EXPECT_EQ(code(members), code::archive);
  const std::vector<TarMember> outside{{"././web.ovf", plain}, {"disk1.qcow2", qcow2}};
  EXPECT_EQ(code(outside), code::archive);
}

/// Writes a number into the size field of the header at `at`, and its checksum (POSIX.1-2017, pax, ustar header).
void set_size(std::string& tar, std::size_t at, const std::string& field) {
  tar.replace(at + 124, 12, field);
  tar.replace(at + 148, 8, 8, ' ');
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[at + i]);
  char text[9];
  std::snprintf(text, sizeof text, "%06o", sum & 0777777);
  tar.replace(at + 148, 8, std::string(text) + std::string("\0 ", 2));
}

TEST_F(ImportOva, T39_RefusesSizesThatCannotBe) {
  const std::string good = test::tar_of({{"web.ovf", "12345"}, {"disk1.qcow2", qcow2}});
  const std::map<std::string, std::string> sizes{
      {"negative", std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\x00", 12)},
      {"1 PiB", std::string("\x80\0\0\0\0\x04\0\0\0\0\0\0", 12)},
      {"largest", std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)},
      {"past the end", "00777777777\0"}};
  for (const auto& [name, field] : sizes)
    for (const std::size_t header : {0U, 1024U}) {
      std::string tar = good;
      set_size(tar, header, field.size() == 12 ? field : field + std::string(12 - field.size(), '\0'));
      const Error error = ImportRun().refusal(write(tar));
      EXPECT_THAT(error.code(), testing::AnyOf(code::truncated, code::damaged)) << name << ": " << error.what();
    }
}

TEST_F(ImportOva, T39_RefusesSparseMembersAndTooMany) {
  const auto sparse = [](archive_entry* e) { archive_entry_sparse_add_entry(e, 0, 4096); };
  std::string holes = "x" + std::string(100'000, '\0');
  const std::string tar =
      test::tar_of({{"web.ovf", plain}, {"disk1.qcow2", holes, sparse}}, archive_write_set_format_pax);
  const Error error = ImportRun().refusal(write(tar));
  EXPECT_THAT(error.what(), HasSubstr("a member with holes"));
  EXPECT_EQ(error.code(), code::archive);
  std::vector<TarMember> many{{"web.ovf", plain}, {"disk1.qcow2", qcow2}};
  for (int i = 0; i < 20'000; ++i) many.push_back({"m" + std::to_string(i), ""});
  EXPECT_THAT(refusal(many).what(), HasSubstr("more than 1000 members"));
}

TEST_F(ImportOva, T40_RefusesADiskOrDescriptorThatIsALink) {
  const auto link = [](archive_entry* e) {
    archive_entry_set_filetype(e, AE_IFLNK);
    archive_entry_set_size(e, 0);
    archive_entry_set_symlink(e, "/etc/shadow");
  };
  EXPECT_EQ(code({{"web.ovf", plain}, {"disk1.qcow2", "", link}}), code::archive);
  EXPECT_EQ(code({{"web.ovf", "", link}, {"disk1.qcow2", qcow2}}), code::archive);
  EXPECT_EQ(code({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"web.mf", "", link}}), code::archive);
}

TEST_F(ImportOva, T41_RefusesOneNameTwice) {
  std::vector<TarMember> members{{"web.ovf", plain}, {"disk1.qcow2", qcow2}};
  members.push_back({"web.mf", manifest(members)});
  members.push_back({"disk1.qcow2", sample(2).qcow2});
  const Error error = refusal(members);
  EXPECT_THAT(error.what(), HasSubstr("two members of one name"));
  EXPECT_EQ(error.code(), code::archive);
}

TEST_F(ImportOva, T42_ComparesEveryDigestWhereverTheManifestIs) {
  const std::vector<TarMember> files{{"web.ovf", plain}, {"disk1.qcow2", qcow2}};
  for (const std::size_t wrong : {0U, 1U})
    for (const std::size_t place : {0U, 1U, 2U}) {
      std::vector<TarMember> members = files;
      std::vector<TarMember> other = files;
      other[wrong].content += ' ';
      members.insert(members.begin() + static_cast<std::ptrdiff_t>(place), {"web.mf", manifest(other)});
      const Error error = refusal(members);
      EXPECT_EQ(error.code(), code::manifest);
      EXPECT_THAT(error.what(), HasSubstr(files[wrong].name + " is not what the manifest says"));
      EXPECT_THAT(error.evidence(), Contains(HasSubstr(test::digest_text(files[wrong].content))));
      EXPECT_THAT(error.evidence(), Contains(HasSubstr(test::digest_text(other[wrong].content))));
    }
}

TEST_F(ImportOva, T42_TakesEachAlgorithmAndEachVendorsWayToWriteIt) {
  const auto line = [&](const char* form, Algorithm algorithm) {
    return test::filled(form, {{"O", test::digest_text(plain, algorithm)}, {"D", test::digest_text(qcow2, algorithm)}});
  };
  for (const std::string& text : {line("SHA1(web.ovf)= ${O}\nSHA1(disk1.qcow2)= ${D}\n", Algorithm::sha1),
                                  line("SHA1 (web.ovf) = ${O}\r\nSHA1 (disk1.qcow2) = ${D}\r\n", Algorithm::sha1),
                                  line("SHA256(disk1.qcow2)=${D}\n\nSHA256(web.ovf)=${O}", Algorithm::sha256),
                                  line("sha512(web.ovf)= ${O}\nSHA512(disk1.qcow2)= ${D}\n", Algorithm::sha512)}) {
    ImportRun import;
    import.run(write({{"web.ovf", plain}, {"web.mf", text}, {"disk1.qcow2", qcow2}, { "web.cert", "a certificate" }}));
    EXPECT_TRUE(import.ctx.produced);
    ASSERT_EQ(import.ctx.findings.size(), 1U);
    EXPECT_EQ(import.ctx.findings[0].what, "the package is signed, and kiln does not verify by whom");
    EXPECT_EQ(import.ctx.findings[0].severity, Severity::note);
  }
}

TEST_F(ImportOva, T42_RefusesAManifestThatDoesNotSayIt) {
  const std::string o = "SHA256(web.ovf)= " + test::digest_text(plain) + "\n";
  const std::string d = "SHA256(disk1.qcow2)= " + test::digest_text(qcow2) + "\n";
  const std::map<std::string, std::string> texts{
      {"lists a file that is not there", o + d + "SHA256(no.iso)= " + std::string(64, 'a') + "\n"},
      {"does not list a file that is used", o},
      {"has a line that is no digest", o + d + "hello\n"},
      {"has a file twice", o + d + d}};
  for (const auto& [what, text] : texts) {
    const Error error = refusal({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"web.mf", text}});
    EXPECT_THAT(error.what(), HasSubstr(what));
    EXPECT_EQ(error.code(), code::manifest);
  }
  EXPECT_EQ(code({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"web.mf", d}}), code::manifest);
  EXPECT_EQ(code({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"web.mf", ""}}), code::manifest);
  EXPECT_EQ(code({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"web.mf", "MD5(web.ovf)= " + std::string(32, 'a')}}),
            code::manifest);
  EXPECT_EQ(code({{"web.ovf", plain}, {"disk1.qcow2", qcow2}, {"web.mf", o + d}, {"b.mf", o + d}}), code::archive);
}

TEST_F(ImportOva, T43_RefusesADiskThatIsNotAsLargeAsItShould) {
  // A cut disk, whose manifest was made of the cut one.
  std::vector<TarMember> cut{{"web.ovf", plain}, {"disk1.qcow2", qcow2.substr(0, qcow2.size() / 2)}};
  cut.push_back({"web.mf", manifest(cut)});
  EXPECT_EQ(code(cut), code::truncated);
  const Error other = refusal({{"web.ovf", ovf({{"disk1.qcow2", "d1", "4194304", ""}})}, {"disk1.qcow2", qcow2}});
  EXPECT_EQ(other.code(), code::format_mismatch);
  EXPECT_THAT(other.evidence(), Contains(HasSubstr("capacity of 4194304 bytes")));
  OvfDiskText sized{"disk1.qcow2", "d1", capacity, ""};
  sized.more_of_file = "ovf:size=\"17\"";
  EXPECT_EQ(code({{"web.ovf", ovf({sized})}, {"disk1.qcow2", qcow2}}), code::invalid_size);
  sized.more_of_file = "ovf:size=\"" + std::to_string(qcow2.size()) + "\"";
  ImportRun().run(write({{"web.ovf", ovf({sized})}, {"disk1.qcow2", qcow2}}));
  // The whole archive is cut in the last member, after it, and in its end.
  const std::string whole = test::tar_of({{"web.ovf", plain}, {"disk1.qcow2", qcow2}});
  const std::size_t end = 512 + (plain.size() + 511) / 512 * 512 + 512 + (qcow2.size() + 511) / 512 * 512;
  for (const std::size_t size : {end - 1000, end, end + 511})
    EXPECT_EQ(ImportRun().refusal(write(whole.substr(0, size))).code(), code::truncated) << size;
  ImportRun().run(write(whole.substr(0, end + 512)));
}

TEST_F(ImportOva, T44_RefusesFilesThatAreNotMembers) {
  for (const char* href :
       {"../disk1.qcow2", "/etc/shadow", "file:///etc/shadow", "http://127.0.0.1:1/x",
        "json:{&quot;driver&quot;:&quot;nbd&quot;}", "nbd:localhost:1", "web.ovf", "", "x/disk1.qcow2"})
    EXPECT_EQ(code({{"web.ovf", ovf({{href, "d1", capacity, ""}})}, {"disk1.qcow2", qcow2}}), code::external_extent)
        << href;
  for (const char* href : {"%2e%2e", "disk1%2Eqcow2", "disk2.qcow2", "DISK1.QCOW2"})
    EXPECT_EQ(code({{"web.ovf", ovf({{href, "d1", capacity, ""}})}, {"disk1.qcow2", qcow2}}), code::archive) << href;
}

TEST_F(ImportOva, T45_HasOneDescriptor) {
  EXPECT_EQ(code({{"disk1.qcow2", qcow2}}), code::archive);
  EXPECT_EQ(code({{"web.ovf", plain}, {"b.OVF", plain}, {"disk1.qcow2", qcow2}}), code::archive);
}

TEST_F(ImportOva, T46_UnpacksDisksThatAreSaidToBeCompressed) {
  write(qcow2, "disk.qcow2");
  ASSERT_EQ(test::run({"gzip", "-k", (dir / "disk.qcow2").string()}).status, 0);
  const std::string packed = test::bytes_of(dir / "disk.qcow2.gz");
  OvfDiskText disk{"disk.qcow2.gz", "d1", capacity, ""};
  EXPECT_EQ(code({{"web.ovf", ovf({disk})}, {"disk.qcow2.gz", packed}}), code::format_mismatch);
  disk.more_of_file = "ovf:compression=\"gzip\"";
  ImportRun import;
  import.run(write({{"web.ovf", ovf({disk})}, { "disk.qcow2.gz", packed }}));
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  EXPECT_EQ(code({{"web.ovf", ovf({disk})}, {"disk.qcow2.gz", qcow2}}), code::format_mismatch);
  disk.more_of_file = "ovf:compression=\"lzma\"";
  EXPECT_EQ(code({{"web.ovf", ovf({disk})}, {"disk.qcow2.gz", packed}}), code::unsupported);
  disk.more_of_file = "ovf:chunkSize=\"1000\"";
  EXPECT_EQ(code({{"web.ovf", ovf({disk})}, {"disk.qcow2.gz", packed}}), code::unsupported);
}

TEST_F(ImportOva, RefusesWhatIsSomethingElseAtTheSameTime) {
  std::string boot = test::tar_of({{"web.ovf", plain}, {"disk1.qcow2", qcow2}});
  boot.replace(510, 2, "\x55\xaa");
  EXPECT_EQ(ImportRun().refusal(write(boot)).code(), code::ambiguous_format);
  std::string junk = test::tar_of({{"web.ovf", plain}, {"disk1.qcow2", qcow2}});
  EXPECT_EQ(ImportRun().refusal(write(junk + "x")).code(), code::archive);
  EXPECT_EQ(ImportRun().refusal(write(junk + std::string(2 << 20, '\0'))).code(), code::archive);
  // The footer of a fixed VHD behind everything.
  const std::string footer = sample(1).vhd.substr(0, 512);
  EXPECT_THAT(ImportRun().refusal(write(junk + footer)).code(), testing::AnyOf(code::ambiguous_format, code::archive));
}

TEST_F(ImportOva, TakesTheContentsWordForTheFormatButNotForRaw) {
  ImportRun import;  // said to be a VMDK
  import.run(write({{"web.ovf", ovf({{ "disk1.img", "d1", capacity }})}, { "disk1.img", qcow2 }}));
  ASSERT_EQ(import.ctx.findings.size(), 2U);
  EXPECT_EQ(import.ctx.findings[1].code, code::format_mismatch);
  EXPECT_EQ(import.ctx.findings[1].severity, Severity::warning);
  const std::string raw = test::bytes_of(sample(1).raw), byte = "http://en.wikipedia.org/wiki/Byte";
  EXPECT_EQ(code({{"web.ovf", ovf({{"disk1.img", "d1", capacity}})}, {"disk1.img", raw}}), code::format_mismatch);
  EXPECT_EQ(code({{"web.ovf", ovf({{"disk1.img", "d1", capacity, byte}})}, {"disk1.img", qcow2}}),
            code::format_mismatch);
}

class ImportOvfFolder : public ImportOva {};

TEST_F(ImportOvfFolder, FindsItsDisksBesideIt) {
  const fs::path file = write(plain, "web.ovf");
  write(qcow2, "disk1.qcow2");
  write(manifest({{"web.ovf", plain}, {"disk1.qcow2", qcow2}}), "web.mf");
  ImportRun import;
  import.run(file);
  EXPECT_TRUE(test::same_as_raw(*import.ctx.produced, sample(1).raw));
  EXPECT_EQ(import.ctx.known_facts.at("source.format"), "ovf");
  const Stage& stage = test::load_stage("import");
  const std::string before = stage.fingerprint_with({{"file", Value{file}}});
  write(qcow2 + "x", "disk1.qcow2");
  EXPECT_NE(stage.fingerprint_with({{"file", Value{file}}}), before);
  std::vector<std::byte> bytes(512);
  EXPECT_THROW(import.ctx.produced->read(0, bytes), Error);
  EXPECT_EQ(ImportRun().refusal(file).code(), code::manifest);
}

TEST_F(ImportOvfFolder, FollowsNoLinkAndOpensNoPipe) {
  const fs::path file = write(plain, "web.ovf");
  EXPECT_EQ(ImportRun().refusal(file).code(), code::archive);
  write(qcow2, "real");
  fs::create_symlink("real", dir / "disk1.qcow2");
  EXPECT_EQ(ImportRun().refusal(file).code(), code::archive);
  fs::remove(dir / "disk1.qcow2");
  ASSERT_EQ(::mkfifo((dir / "disk1.qcow2").c_str(), 0600), 0);
  EXPECT_EQ(ImportRun().refusal(file).code(), code::archive);
  for (const char* href : {"../x", "/etc/shadow", "file:///etc/shadow"}) {
    write(ovf({{href, "d1", capacity, ""}}), "web.ovf");
    EXPECT_EQ(ImportRun().refusal(file).code(), code::external_extent);
  }
}

}  // namespace
}  // namespace kiln
