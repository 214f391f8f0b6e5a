// The fleece, and captures on top of it, of a QEMU without a guest.
#include "machine/fleece.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include <kiln/file.h>

#include "disk/pump.h"
#include "machine/bare_qemu.h"
#include "machine/capture.h"
#include "support/disks.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
constexpr std::uint64_t mib = 1u << 20;

/// Two drives of 8 MiB: a raw one and a qcow2 one.
class Fleeced : public testing::Test {
 protected:
  Fleeced() {
    test::write_raw(dir_ / "a.raw", {"a", 8 * mib, {{0, 2 * mib}, {5 * mib, mib}}}, 1);
    test::write_raw(dir_ / "b.raw", {"b", 8 * mib, {{mib, 3 * mib}}}, 2);
    test::qemu_from_raw(dir_ / "b.raw", dir_ / "b.qcow2", "qcow2");
    std::filesystem::copy_file(dir_ / "a.raw", dir_ / "a.before");
    std::filesystem::copy_file(dir_ / "b.raw", dir_ / "b.before");
    std::filesystem::create_directory(dir_ / "scratch");
  }

  std::vector<std::string> drives() const {
    return {"file=" + (dir_ / "a.raw").string() + ",format=raw",
            "file=" + (dir_ / "b.qcow2").string() + ",format=qcow2"};
  }
  CaptureTarget target(const test::BareQemu& qemu) const {
    CaptureTarget target;
    target.name = "the machine";
    target.qmp = qemu.monitor();
    target.scratch = dir_ / "scratch";
    target.socket = dir_ / "scratch" / "s";
    target.socket_for_qemu = target.socket.string();
    return target;
  }
  Manifest manifest_of(const BlockReader& disk, const std::string& name) const {
    ManifestSink sink(dir_ / name, disk.size());
    BlockSink* const sinks[] = {&sink};
    pump(disk, sinks);
    sink.finish();
    return Manifest::open(dir_ / name);
  }
  std::size_t files_left() const {
    const std::filesystem::directory_iterator all(dir_ / "scratch");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

  test::TempDir dir_;
};

TEST_F(Fleeced, FindsTheDrivesThatCanBeWritten) {
  std::ofstream(dir_ / "cd.iso") << std::string(2048, 'x');
  auto given = drives();
  given.push_back("file=" + (dir_ / "cd.iso").string() + ",format=raw,read-only=on");
  const test::BareQemu qemu(dir_.path(), given);
  Qmp qmp = Qmp::connect(qemu.monitor(), 30s);
  const auto found = writable_drives(qmp);
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].name, "virtio0");
  EXPECT_EQ(found[0].format, "raw");
  EXPECT_EQ(found[0].size, 8 * mib);
  EXPECT_EQ(found[0].bus, "virtio");
  EXPECT_EQ(found[1].name, "virtio1");
  EXPECT_EQ(found[1].format, "qcow2");
}

TEST_F(Fleeced, AllDrivesAreOfOneMomentWhateverIsWrittenLater) {
  const test::BareQemu qemu(dir_.path(), drives());
  const Capture capture = capture_running(target(qemu), {}, {});
  ASSERT_THAT(capture.drives, SizeIs(2));
  qemu.write("virtio0", "-P 0x11 0 3M");
  qemu.write("virtio1", "-z 1M 1M");
  qemu.write("virtio1", "-P 0x22 4M 4M");
  EXPECT_TRUE(test::same_as_raw(*capture.drives[0].disk, dir_ / "a.before"));
  EXPECT_TRUE(test::same_as_raw(*capture.drives[1].disk, dir_ / "b.before"));
  EXPECT_EQ(capture.facts.at("capture.consistency"), "crash-consistent");
  EXPECT_EQ(capture.drives[0].role, "");
  EXPECT_EQ(capture.drives[1].role, "data");
  EXPECT_EQ(capture.drives[1].name, "virtio1");
  EXPECT_EQ(capture.facts.at("capture.part.virtio1"), "virtio1");
  EXPECT_EQ(capture.facts.at("machine.cpus"), "2");
  EXPECT_EQ(capture.facts.at("machine.memory"), std::to_string(64 * mib));
  EXPECT_EQ(capture.facts.at("machine.disk_bus"), "virtio");
  EXPECT_EQ(capture.facts.at("boot.firmware"), "bios");
  EXPECT_THAT(capture.warnings, ElementsAre("there is no channel to a guest agent"));
}

TEST_F(Fleeced, DeviceNamesAreMadeFitForParts) {
  const std::vector<CapturedDrive> others{{"disk", "", nullptr}, {"a-b", "data", nullptr}, {"a-b-2", "data", nullptr}};
  EXPECT_EQ(part_name("virtio1", others), "virtio1");
  EXPECT_EQ(part_name("#block/123", others), "block123");
  EXPECT_EQ(part_name("-a-b", others), "a-b-3");
  EXPECT_EQ(part_name("///", others), "disk-2");
  EXPECT_EQ(part_name(std::string(300, 'x'), others), std::string(100, 'x'));
}

TEST_F(Fleeced, AnOverlaysBaseIsKnownOfEveryDrive) {
  test::qemu_img({"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", (dir_ / "b.qcow2").string(),
                  (dir_ / "over.qcow2").string()});
  const test::BareQemu qemu(dir_.path(), {drives()[0], "file=" + (dir_ / "over.qcow2").string() + ",format=qcow2"});
  CaptureTarget on_base = target(qemu);
  on_base.bases = {{dir_ / "b.qcow2", manifest_of(test::RawDisk(dir_ / "b.raw"), "m")}};
  qemu.write("virtio1", "-P 0x44 1M 64k");
  const Capture capture = capture_running(on_base, {}, {});
  EXPECT_FALSE(capture.drives[0].disk->known_digest(0));
  EXPECT_TRUE(capture.drives[1].disk->known_digest(0));
  EXPECT_FALSE(capture.drives[1].disk->known_digest(16)) << "it was written to";
  EXPECT_EQ(capture.drives[1].disk->known_digest(17), on_base.bases[0].content.at(17));
}

TEST_F(Fleeced, NothingIsLeftButTheBitmap) {
  const test::BareQemu qemu(dir_.path(), drives());
  for (int i = 0; i < 2; ++i) {
    const Capture capture = capture_running(target(qemu), {}, {});
    EXPECT_THAT(qemu.left(), testing::Not(IsEmpty()));
  }
  EXPECT_THAT(qemu.left(), IsEmpty());
  EXPECT_EQ(files_left(), 0u);
  Qmp qmp = Qmp::connect(qemu.monitor(), 30s);
  EXPECT_THAT(writable_drives(qmp)[0].bitmaps, SizeIs(1)) << "that of the first capture was of no use";
}

TEST_F(Fleeced, NothingIsLeftOfACaptureThatIsKilled) {
  const test::BareQemu qemu(dir_.path(), drives());
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Capture capture = capture_running(target(qemu), {}, {});
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char c = 0;
  ASSERT_EQ(::read(ready[0], &c, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  for (int i = 0; i < 500 && !qemu.left().empty(); ++i) std::this_thread::sleep_for(20ms);
  EXPECT_THAT(qemu.left(), IsEmpty());
  qemu.write("virtio0", "-P 0x33 0 1M");
  qemu.ask("human-monitor-command", {{"command-line", "qemu-io virtio0 flush"}});
  std::filesystem::copy_file(dir_ / "a.raw", dir_ / "a.now");
  const Capture capture = capture_running(target(qemu), {}, {});
  EXPECT_TRUE(test::same_as_raw(*capture.drives[0].disk, dir_ / "a.now"));
}

TEST_F(Fleeced, WhatWasLeftAllTheSameIsClearedByTheNext) {
  const test::BareQemu qemu(dir_.path(), drives());
  const auto nodes = qemu.ask("query-block");
  const std::string disk = nodes[0]["inserted"]["node-name"];
  test::qemu_img({"create", "-q", "-f", "qcow2", (dir_ / "left").string(), "8M"});
  qemu.ask("blockdev-add", {{"driver", "qcow2"},
                            {"node-name", "kiln-fleece-0"},
                            {"backing", disk},
                            {"file", {{"driver", "file"}, {"filename", (dir_ / "left").string()}}}});
  qemu.ask("blockdev-backup",
           {{"job-id", "kiln-fleece-0"}, {"device", disk}, {"target", "kiln-fleece-0"}, {"sync", "none"}});
  qemu.ask("nbd-server-start", {{"addr", {{"type", "unix"}, {"data", {{"path", (dir_ / "n").string()}}}}}});
  qemu.ask("block-export-add",
           {{"type", "nbd"}, {"id", "kiln-fleece-0"}, {"node-name", "kiln-fleece-0"}, {"name", "x"}});
  {
    const Capture capture = capture_running(target(qemu), {}, {});
    EXPECT_TRUE(test::same_as_raw(*capture.drives[0].disk, dir_ / "a.before"));
  }
  EXPECT_THAT(qemu.left(), IsEmpty());
  EXPECT_EQ(files_left(), 0u);
}

TEST_F(Fleeced, OnlyOneCapturesAtATime) {
  const test::BareQemu qemu(dir_.path(), drives());
  const Capture capture = capture_running(target(qemu), {}, {});
  try {
    capture_running(target(qemu), {}, {});
    ADD_FAILURE() << "captured twice";
  } catch (const Error& error) {
    EXPECT_THAT(error.hint(), HasSubstr("somebody else"));
  }
  EXPECT_TRUE(test::same_as_raw(*capture.drives[0].disk, dir_ / "a.before"));
}

TEST_F(Fleeced, AnNbdServerInUseIsLeftAlone) {
  const test::BareQemu qemu(dir_.path(), drives());
  qemu.ask("nbd-server-start", {{"addr", {{"type", "unix"}, {"data", {{"path", (dir_ / "theirs").string()}}}}}});
  const auto nodes = qemu.ask("query-block");
  qemu.ask("block-export-add",
           {{"type", "nbd"}, {"id", "theirs"}, {"node-name", nodes[1]["inserted"]["node-name"]}, {"name", "theirs"}});
  EXPECT_THROW(capture_running(target(qemu), {}, {}), Error);
  EXPECT_THAT(qemu.left(), IsEmpty());
  EXPECT_THAT(qemu.ask("query-block-exports"), SizeIs(1));
  EXPECT_EQ(test::run({"qemu-img", "info", "nbd+unix:///theirs?socket=" + (dir_ / "theirs").string()}).status, 0);
}

TEST_F(Fleeced, MoreThanThereIsToBeHadIsRefused) {
  const test::BareQemu qemu(dir_.path(), drives(), true);
  for (const Consistency least : {Consistency::quiesced, Consistency::stopped}) {
    CaptureSpec spec;
    spec.least = least;
    try {
      capture_running(target(qemu), spec, {});
      ADD_FAILURE() << "captured";
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::refused) << error.what();
    }
    EXPECT_THAT(qemu.left(), IsEmpty());
  }
  EXPECT_THAT(capture_running(target(qemu), {}, {}).warnings, ElementsAre(HasSubstr("paused")));
}

TEST_F(Fleeced, TheNextCaptureKnowsWhatDidNotChange) {
  const test::BareQemu qemu(dir_.path(), drives());
  std::map<std::string, Manifest> images;
  CaptureTarget later = target(qemu);
  later.since = [&](const std::string& bitmap, const std::string& drive) -> std::optional<Manifest> {
    const auto found = images.find(bitmap + " " + drive);
    return found == images.end() ? std::nullopt : std::optional(found->second);
  };
  const auto capture_one = [&](const std::string& name, bool becomes_an_image) {
    const Capture capture = capture_running(later, {}, {});
    Manifest manifest = manifest_of(*capture.drives[1].disk, name);
    if (becomes_an_image) images.emplace(capture.facts.at("capture.id") + " virtio1", manifest);
    std::size_t unknown = 0;
    for (std::uint64_t chunk = 0; chunk < 128; ++chunk) unknown += capture.drives[1].disk->known_digest(chunk) ? 0 : 1;
    EXPECT_FALSE(capture.drives[0].disk->known_digest(0)) << "of which there is no image";
    return std::pair(unknown, manifest.content());
  };
  const auto all_of = [&](const std::string& name) {  // read natively by an oracle
    test::qemu_img({"convert", "-U", "-f", "qcow2", "-O", "raw", (dir_ / "b.qcow2").string(), (dir_ / name).string()});
    return manifest_of(test::RawDisk(dir_ / name), name + ".manifest").content();
  };
  EXPECT_EQ(capture_one("1", true).first, 128u);
  qemu.write("virtio1", "-P 0x44 1M 64k");
  const auto second = capture_one("2", false);  // comes to nothing
  EXPECT_EQ(second.first, 1u);
  qemu.write("virtio1", "-P 0x55 3M 128k");
  qemu.ask("human-monitor-command", {{"command-line", "qemu-io virtio1 flush"}});
  const auto third = capture_one("3", true);
  EXPECT_EQ(third.first, 3u) << "what changed before the one that came to nothing, and after it";
  EXPECT_EQ(third.second, all_of("third.raw"));
  EXPECT_EQ(capture_one("4", true).first, 0u);
  images.clear();
  EXPECT_EQ(capture_one("5", true).first, 128u) << "the images are gone";
}

TEST_F(Fleeced, AHeaderThatAGuestWritesIsOnlyBytes) {
  test::qemu_img({"create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", (dir_ / "evil").string(), "8M"});
  const std::string header = read_text(dir_ / "evil");
  std::ofstream(dir_ / "a.raw", std::ios::in | std::ios::out | std::ios::binary) << header.substr(0, 65536);
  std::filesystem::copy_file(dir_ / "a.raw", dir_ / "a.evil");
  const test::BareQemu qemu(dir_.path(), drives());
  const Capture capture = capture_running(target(qemu), {}, {});
  EXPECT_EQ(capture.facts.at("capture.format"), "raw");
  EXPECT_TRUE(test::same_as_raw(*capture.drives[0].disk, dir_ / "a.evil"));
}

TEST_F(Fleeced, AMachineThatEndsMeanwhileIsAnError) {
  test::BareQemu qemu(dir_.path(), drives());
  const Capture capture = capture_running(target(qemu), {}, {});
  qemu.kill();
  EXPECT_THROW(pump(*capture.drives[0].disk, {}), Error);
}

TEST_F(Fleeced, AFolderThatQemuCannotUse) {
  const test::BareQemu qemu(dir_.path(), drives());
  CaptureTarget elsewhere = target(qemu);
  elsewhere.socket_for_qemu = "/nowhere/s";
  EXPECT_THROW(capture_running(elsewhere, {}, {}), Error);
  EXPECT_THAT(qemu.left(), IsEmpty());
}

}  // namespace
}  // namespace kiln
