#include "guest/drive.h"

#include <gmock/gmock.h>

#include <kiln/error.h>
#include <kiln/file.h>

#include "guest/tiny_guest.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    std::string all = error.what();
    for (const std::string& line : error.evidence()) all += "\n" + line;
    return all;
  }
  return "no error";
}

TEST(Chain, IsReadFromTheHeadersLowestFirst) {
  const test::TempDir dir;
  std::filesystem::create_directories(dir / "base");
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "base/disk.qcow2", "1M"});
  test::make_overlay(dir / "a.qcow2", dir / "base/disk.qcow2");
  // A relative name is meant from the layer's own folder.
  test::qemu_img({"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "a.qcow2", dir / "b.qcow2"});
  EXPECT_THAT(chain_of(dir / "b.qcow2"), ElementsAre(dir / "base/disk.qcow2", dir / "a.qcow2", dir / "b.qcow2"));
}

TEST(Chain, RefusesWhatIsNotALayer) {
  const test::TempDir dir;
  write_text(dir / "x", std::string(4096, 'x'));
  EXPECT_EQ(message_of([&] { chain_of(dir / "x"); }), "not a layer of kiln (no qcow2): " + (dir / "x").string());
}

TEST(Chain, RefusesOneThatDoesNotEnd) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", "-u", "-F", "qcow2", "-b", "a.qcow2", dir / "a.qcow2", "1M"});
  EXPECT_EQ(message_of([&] { chain_of(dir / "a.qcow2"); }),
            "the chain of layers does not end: " + (dir / "a.qcow2").string());
}

TEST(Drive, ExportsMovesAndCloses) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "base.qcow2", "1M"});
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  test::make_overlay(dir / "b.qcow2", dir / "a.qcow2");
  test::make_overlay(dir / "c.qcow2", dir / "b.qcow2");
  Drive drive(dir / "a.qcow2", dir.path());
  const std::string uri = "nbd+unix:///?socket=" + drive.socket().string();
  const auto write = [&](const char* what) {
    const test::Outcome o = test::run({"qemu-io", "-f", "raw", "-c", what, uri});
    ASSERT_EQ(o.status, 0) << o.output;
  };
  write("write -P 0x41 0 64k");
  drive.move_to(dir / "b.qcow2");
  write("write -P 0x42 64k 64k");
  drive.move_to(dir / "c.qcow2");
  write("write -P 0x43 128k 64k");
  drive.close();

  EXPECT_THAT(test::qemu_img({"check", "-f", "qcow2", dir / "a.qcow2"}), HasSubstr("No errors"));
  EXPECT_THAT(test::qemu_img({"check", "-f", "qcow2", dir / "b.qcow2"}), HasSubstr("No errors"));
  EXPECT_THAT(test::qemu_img({"check", "-f", "qcow2", dir / "c.qcow2"}), HasSubstr("No errors"));
  const auto reads = [&](const char* layer, const char* pattern, const char* range) {
    return test::run(
        {"qemu-io", "-r", "-f", "qcow2", "-c", std::string("read -P ") + pattern + " " + range, dir / layer});
  };
  for (const auto& [layer, pattern, range] : std::vector<std::array<const char*, 3>>{{"a.qcow2", "0x41", "0 64k"},
                                                                                     {"a.qcow2", "0", "64k 128k"},
                                                                                     {"b.qcow2", "0x42", "64k 64k"},
                                                                                     {"b.qcow2", "0", "128k 64k"},
                                                                                     {"c.qcow2", "0x43", "128k 64k"},
                                                                                     {"c.qcow2", "0x41", "0 64k"}}) {
    const test::Outcome o = reads(layer, pattern, range);
    EXPECT_EQ(o.status, 0) << o.output;
    EXPECT_THAT(o.output, testing::Not(HasSubstr("failed"))) << layer << " " << range;
  }
}

TEST(Drive, IsExchangedForAnotherDiskOnTheSameBaseAndMovesOn) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "base.qcow2", "1M"});
  for (const char* one : {"a.qcow2", "b.qcow2"}) test::make_overlay(dir / one, dir / "base.qcow2");
  test::make_overlay(dir / "c.qcow2", dir / "b.qcow2");
  Drive drive(dir / "a.qcow2", dir.path());
  const std::string uri = "nbd+unix:///?socket=" + drive.socket().string();
  const auto does = [](const std::string& what, const std::string& disk, const char* format) {
    const test::Outcome o = test::run({"qemu-io", "-f", format, "-c", what, disk});
    EXPECT_EQ(o.status, 0) << o.output;
    EXPECT_THAT(o.output, testing::Not(HasSubstr("failed"))) << what << " " << disk;
  };
  does("write -P 0x41 0 64k", uri, "raw");
  drive.exchange(dir / "b.qcow2");
  does("read -P 0 0 64k", uri, "raw");  // nothing of the first is seen
  does("write -P 0x42 64k 64k", uri, "raw");
  does("read -P 0x41 0 64k", dir / "a.qcow2", "qcow2");  // it is closed: qemu-io may open it to write
  drive.move_to(dir / "c.qcow2");
  does("write -P 0x43 128k 64k", uri, "raw");
  drive.close();
  does("read -P 0x42 64k 64k", dir / "c.qcow2", "qcow2");
  does("read -P 0x43 128k 64k", dir / "c.qcow2", "qcow2");
  does("read -P 0 128k 64k", dir / "b.qcow2", "qcow2");
  does("read -P 0 64k 192k", dir / "a.qcow2", "qcow2");
}

TEST(Drive, TheLayerLeftBehindMayBeRenamedAndIsNotWritten) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "a.qcow2", "1M"});
  test::make_overlay(dir / "b.qcow2", dir / "a.qcow2");
  Drive drive(dir / "a.qcow2", dir.path());
  const std::string uri = "nbd+unix:///?socket=" + drive.socket().string();
  ASSERT_EQ(test::run({"qemu-io", "-f", "raw", "-c", "write -P 0x41 0 64k", uri}).status, 0);
  drive.move_to(dir / "b.qcow2");
  const std::string before = read_text(dir / "a.qcow2");
  std::filesystem::rename(dir / "a.qcow2", dir / "sealed.qcow2");
  ASSERT_EQ(test::run({"qemu-io", "-f", "raw", "-c", "write -P 0x42 0 64k", uri}).status, 0);
  drive.close();
  EXPECT_EQ(read_text(dir / "sealed.qcow2"), before);
}

TEST(Drive, SaysWhyTheDaemonDoesNotOpenTheDisk) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "a.qcow2", "1M"});
  std::filesystem::resize_file(dir / "a.qcow2", 100);
  EXPECT_THAT(message_of([&] { Drive(dir / "a.qcow2", dir.path()); }),
              testing::StartsWith("qemu-storage-daemon does not open the disk\n"));
}

}  // namespace
}  // namespace kiln
