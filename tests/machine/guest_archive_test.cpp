// Folders as tar: what a guest may send, and what it may not do with it.
#include "machine/guest_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <kiln/error.h>
#include <kiln/file.h>

#include "support/temp.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

/// A tar of a stranger, entry by entry.
class Tar {
 public:
  Tar() : archive_(archive_write_new()) {
    archive_write_set_format_gnutar(archive_);
    archive_write_open2(archive_, this, nullptr, take, nullptr, nullptr);
  }
  ~Tar() { archive_write_free(archive_); }

  Tar& add(const std::string& name, unsigned type, const std::string& text = {}, unsigned mode = 0644) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, mode);
    if (type == AE_IFLNK) archive_entry_set_symlink(entry, text.c_str());
    if (type == AE_IFREG) archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    archive_write_header(archive_, entry);
    if (type == AE_IFREG) archive_write_data(archive_, text.data(), text.size());
    archive_entry_free(entry);
    return *this;
  }
  Tar& hard_link(const std::string& name, const std::string& to) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_hardlink(entry, to.c_str());
    archive_entry_set_size(entry, 0);
    archive_write_header(archive_, entry);
    archive_entry_free(entry);
    return *this;
  }

  /// In pieces of an odd size.
  std::function<std::string()> pieces() {
    archive_write_close(archive_);
    return [this] {
      std::string piece = bytes_.substr(at_, 777);
      at_ += piece.size();
      return piece;
    };
  }
  std::uint64_t size() const { return bytes_.size(); }

 private:
  static la_ssize_t take(archive*, void* self, const void* bytes, std::size_t size) {
    static_cast<Tar*>(self)->bytes_.append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  }
  archive* archive_;
  std::string bytes_;
  std::size_t at_ = 0;
};

CopyReport unpack_into(Tar& tar, const fs::path& target) {
  const auto pieces = tar.pieces();
  return unpack(pieces, target, tar.size());
}

unsigned mode_of(const fs::path& file) {
  struct stat status {};
  ::lstat(file.c_str(), &status);
  return status.st_mode & 07777u;
}

TEST(Unpack, AFolderBecomesTheTarget) {
  test::TempDir dir;
  Tar tar;
  tar.add("./web/", AE_IFDIR, "", 0750).add("./web/a", AE_IFREG, "A", 0600).add("./web/in/b", AE_IFREG, "B", 0755);
  tar.add("./web/link", AE_IFLNK, "in/b").add("./web/in/up", AE_IFLNK, "../a").hard_link("./web/same", "./web/a");
  const CopyReport report = unpack_into(tar, dir / "here");
  EXPECT_EQ(report.files, 2u);
  EXPECT_EQ(report.left_out_count, 0u);
  EXPECT_EQ(read_text(dir / "here/a"), "A");
  EXPECT_EQ(read_text(dir / "here/link"), "B");
  EXPECT_EQ(read_text(dir / "here/in/up"), "A");
  EXPECT_EQ(read_text(dir / "here/same"), "A");
  EXPECT_EQ(mode_of(dir / "here"), 0750u);
  EXPECT_EQ(mode_of(dir / "here/a"), 0600u);
  EXPECT_EQ(mode_of(dir / "here/in/b"), 0755u);
}

TEST(Unpack, NamesThatLeadOutAreRefused) {
  for (const char* name : {"../evil", "web/../../evil", "/evil", "web/../evil", ".."}) {
    test::TempDir dir;
    fs::create_directory(dir / "in");
    Tar again;
    again.add(name, AE_IFREG, "evil");
    try {
      unpack_into(again, dir / "in/target");
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::refused) << name;
      EXPECT_STREQ(error.what(), "the guest sent an archive that leads out of its folder");
    }
    EXPECT_FALSE(fs::exists(dir / "evil"));
    EXPECT_FALSE(fs::exists(dir / "in/evil"));
  }
}

TEST(Unpack, NothingIsWrittenThroughASymlink) {
  test::TempDir dir;
  fs::create_directory(dir / "outside");
  Tar tar;
  tar.add("web/", AE_IFDIR, "", 0755).add("web/door", AE_IFLNK, (dir / "outside").string());
  tar.add("web/door/evil", AE_IFREG, "evil").add("web/hop", AE_IFLNK, "..").add("web/in/hop", AE_IFLNK, "../../x");
  const CopyReport report = unpack_into(tar, dir / "target");
  EXPECT_TRUE(fs::is_empty(dir / "outside"));
  EXPECT_EQ(report.left_out_count, 3u);
  EXPECT_THAT(report.left_out, ElementsAre(HasSubstr("web/door: a symlink that leads out"), HasSubstr("web/hop: "),
                                           HasSubstr("web/in/hop: ")));

  // One inside is made, and still nothing goes through it.
  Tar inside;
  inside.add("web/", AE_IFDIR, "", 0755).add("web/in/", AE_IFDIR, "", 0755).add("web/door", AE_IFLNK, "in");
  inside.add("web/door/x", AE_IFREG, "x");
  EXPECT_THROW(unpack_into(inside, dir / "other"), Error);
  EXPECT_TRUE(fs::is_empty(dir / "other/in"));

  // One of the host's own that has the target's name is not gone through either.
  fs::create_directory_symlink(dir / "outside", dir / "mine");
  Tar plain;
  plain.add("web/", AE_IFDIR, "", 0755).add("web/a", AE_IFREG, "A");
  try {
    unpack_into(plain, dir / "mine");
  } catch (const Error&) {
    // or it is refused
  }
  EXPECT_TRUE(fs::is_empty(dir / "outside"));
}

TEST(Unpack, HardLinksStayInside) {
  test::TempDir dir;
  write_text(dir / "secret", "secret");
  for (const std::string& to : {(dir / "secret").string(), std::string("../secret"), std::string("web/../../secret")}) {
    Tar tar;
    tar.add("web/", AE_IFDIR, "", 0755).hard_link("web/mine", to);
    EXPECT_THROW(unpack_into(tar, dir / "target"), Error) << to;
    EXPECT_FALSE(fs::exists(dir / "target/mine"));
  }
}

TEST(Unpack, NoProgramGetsRightsAndNoDeviceIsMade) {
  test::TempDir dir;
  Tar tar;
  tar.add("web/", AE_IFDIR, "", 01777).add("web/su", AE_IFREG, "x", 06755).add("web/pipe", AE_IFIFO);
  tar.add("web/disk", AE_IFBLK);
  const CopyReport report = unpack_into(tar, dir / "target");
  EXPECT_EQ(mode_of(dir / "target"), 0777u);
  EXPECT_EQ(mode_of(dir / "target/su"), 0755u);
  EXPECT_FALSE(fs::exists(dir / "target/pipe"));
  EXPECT_FALSE(fs::exists(dir / "target/disk"));
  EXPECT_EQ(report.left_out_count, 2u);
}

TEST(Unpack, WhatIsCutOffOrClaimsTooMuchIsAnError) {
  test::TempDir dir;
  Tar tar;
  tar.add("web/a", AE_IFREG, std::string(100'000, 'a'));
  auto pieces = tar.pieces();
  int left = 20;
  EXPECT_THROW(unpack([&] { return left-- > 0 ? pieces() : std::string(); }, dir / "cut", tar.size()), Error);
  Tar claims;
  claims.add("web/a", AE_IFREG, std::string(100'000, 'a'));
  EXPECT_THROW(unpack(claims.pieces(), dir / "huge", 99'999), Error);
  EXPECT_FALSE(fs::exists(dir / "huge/a"));
  EXPECT_THROW(unpack([n = 0]() mutable { return n++ < 3 ? std::string(1024, 'x') : std::string(); }, dir / "x", 9999),
               Error);
}

TEST(Unpack, AnErrorOnTheWayIsToldAsItIs) {
  test::TempDir dir;
  EXPECT_THAT([&] { unpack([]() -> std::string { throw Error("the line is dead"); }, dir / "x", 1); },
              testing::ThrowsMessage<Error>("the line is dead"));
}

TEST(Pack, ComesBackTheSame) {
  test::TempDir dir;
  fs::create_directories(dir / "from/in/deep");
  fs::permissions(dir / "from/in", fs::perms::owner_all);
  write_text(dir / "from/in/a", std::string(200'000, 'a'));
  write_text(dir / "from/in/deep/ü x", "umlaut");
  fs::permissions(dir / "from/in/a", static_cast<fs::perms>(0640));
  fs::create_symlink("a", dir / "from/in/link");
  ASSERT_EQ(::mkfifo((dir / "from/pipe").c_str(), 0600), 0);
  std::string bytes;
  const CopyReport packed = pack(dir / "from", "web", [&](std::string_view part) {
    EXPECT_LE(part.size(), 48u * 1024);
    bytes += part;
  });
  EXPECT_EQ(packed.files, 2u);
  EXPECT_THAT(packed.left_out, ElementsAre("web/pipe: neither file nor folder"));
  std::size_t at = 0;
  const CopyReport report = unpack(
      [&] {
        std::string piece = bytes.substr(at, 48 * 1024);
        at += piece.size();
        return piece;
      },
      dir / "to", bytes.size());
  EXPECT_EQ(report.files, 2u);
  EXPECT_EQ(read_text(dir / "to/in/a"), std::string(200'000, 'a'));
  EXPECT_EQ(read_text(dir / "to/in/deep/ü x"), "umlaut");
  EXPECT_EQ(mode_of(dir / "to/in/a"), 0640u);
  EXPECT_EQ(mode_of(dir / "to/in"), 0700u);
  EXPECT_EQ(fs::read_symlink(dir / "to/in/link"), "a");
}

}  // namespace
}  // namespace kiln
