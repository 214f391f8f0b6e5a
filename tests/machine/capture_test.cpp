// Captures of a real guest with a guest agent, while it writes.
#include "machine/capture.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "disk/pump.h"
#include "machine/fleece.h"
#include "machine/freeze.h"
#include "machine/live_guest.h"
#include "support/run.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
constexpr std::uint64_t mib = 1u << 20;

/// One guest for all: it boots for seconds. Every test leaves it as it was.
class CaptureGuest : public testing::Test {
 protected:
  static void SetUpTestSuite() { guest_ = std::make_unique<test::LiveGuest>(); }
  static void TearDownTestSuite() { guest_.reset(); }
  void TearDown() override {
    for (int i = 0; i < 500 && !left().empty(); ++i) std::this_thread::sleep_for(20ms);
    EXPECT_THAT(left(), IsEmpty());
  }

  static CaptureTarget target() {
    const std::filesystem::path folder = guest_->instance().folder;
    CaptureTarget target;
    target.name = "guest";
    target.qmp = folder / machine_file::capture;
    target.agent = folder / machine_file::agent;
    target.scratch = folder;
    target.socket = folder / machine_file::fleece;
    target.socket_for_qemu = machine_file::fleece;
    return target;
  }

  static std::vector<std::string> left() {
    Qmp qmp = Qmp::connect(guest_->file(machine_file::qmp), 30s);
    std::vector<std::string> names;
    for (const auto& node : qmp.execute("query-named-block-nodes", {{"flat", true}}))
      if (const std::string name = node.value("node-name", ""); name.starts_with("kiln-")) names.push_back(name);
    for (const char* query : {"query-jobs", "query-block-exports"})
      for (const auto& one : qmp.execute(query)) names.push_back(one.value("id", ""));
    return names;
  }

  /// The guest's numbers go on: it can write, and does.
  static void expect_that_the_guest_writes() {
    EXPECT_EQ(guest_->freeze_status(), "thawed");
    const std::string mark = "WROTE-" + std::to_string(++marks_);
    guest_->type("date >/srv/mark && sync && echo WROTE-''" + std::to_string(marks_));
    guest_->wait_for(mark);
  }

  /// Runs `until_here` in a process and kills it there, with its group.
  static void kill_at(const std::function<void()>& until_here) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      until_here();
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it was to be killed on the way";
  }
  [[noreturn]] static void die() {
    ::kill(0, SIGKILL);
    ::_exit(2);
  }

  /// The root file system, as e2fsprogs see it.
  static std::string file_system(const BlockReader& disk, const std::filesystem::path& into) {
    std::ofstream out(into, std::ios::binary);
    std::vector<std::byte> bytes(mib);
    for (std::uint64_t at = mib; at < disk.size(); at += mib) {
      disk.read(at, bytes);
      out.write(reinterpret_cast<const char*>(bytes.data()), mib);
    }
    out.close();
    return test::run({"dumpe2fs", "-h", into.string()}).output;
  }

  static std::unique_ptr<test::LiveGuest> guest_;
  static int marks_;
  test::TempDir dir_;
};
std::unique_ptr<test::LiveGuest> CaptureGuest::guest_;
int CaptureGuest::marks_ = 0;

TEST_F(CaptureGuest, IsQuiescedWhileTheGuestGoesOnWriting) {
  guest_->type("(i=0; while [ ! -e /run/enough ]; do i=$((i+1)); echo $i >>/srv/numbers; sync; done) &");
  std::this_thread::sleep_for(1s);
  {
    const Capture capture = capture_running(target(), {}, {});
    EXPECT_THAT(capture.warnings, IsEmpty());
    EXPECT_EQ(capture.facts.at("capture.consistency"), "quiesced");
    EXPECT_EQ(capture.facts.at("capture.hooks"), "passed");
    EXPECT_EQ(capture.facts.at("machine.nic"), "virtio");
    EXPECT_EQ(capture.facts.at("machine.disk_bus"), "virtio");
    EXPECT_LT(std::stoi(capture.facts.at("capture.freeze_ms")), 10000);
    std::this_thread::sleep_for(1s);  // it overwrites what was captured
    const std::string about = file_system(*capture.drives[0].disk, dir_ / "fs");
    EXPECT_THAT(about, HasSubstr("has_journal"));
    EXPECT_THAT(about, Not(HasSubstr("needs_recovery"))) << "its journal was empty at that moment";
    const auto checked = test::run({"e2fsck", "-fn", (dir_ / "fs").string()});
    EXPECT_EQ(checked.status, 0) << checked.output;
    const auto hook = test::run({"debugfs", "-R", "cat /var/log/fsfreeze", (dir_ / "fs").string()});
    EXPECT_THAT(hook.output, HasSubstr("freeze"));
    // Read again, much later, it is the same.
    const Digest first = pump(*capture.drives[0].disk, {}).content;
    std::this_thread::sleep_for(1s);
    EXPECT_EQ(first, pump(*capture.drives[0].disk, {}).content);
  }
  expect_that_the_guest_writes();
  guest_->type("touch /run/enough");
}

constexpr std::uint64_t slots = test::LiveGuest::data_size / chunk_size;

/// The number in each chunk of the second disk, 0 for none.
std::vector<std::uint64_t> numbers_on(const BlockReader& disk) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    std::array<char, 32> text{};
    disk.read(slot * chunk_size, std::as_writable_bytes(std::span(text)));
    numbers.push_back(std::strtoull(text.data(), nullptr, 10));
  }
  return numbers;
}

/// What the chunks hold when `last` was written, nothing after it, and everything before it: number n is in chunk
/// n % slots, over number n - slots.
std::vector<std::uint64_t> numbers_until(std::uint64_t last) {
  std::vector<std::uint64_t> numbers(slots);
  for (std::uint64_t n = last > slots ? last - slots + 1 : 1; n <= last; ++n) numbers[n % slots] = n;
  return numbers;
}

TEST_F(CaptureGuest, IsTheDiskAtOneMomentWhileThePatternGoesOn) {
  // Each number is on the disk before the next is written.
  guest_->type(
      "(i=0; while [ ! -e /run/stop ]; do i=$((i+1)); printf '%-512s' $i | dd of=/dev/vdb bs=512 seek=$((i % " +
      std::to_string(slots) + " * 128)) conv=notrunc,fsync 2>/dev/null; done; echo PATTERN-''ENDS) &");
  std::uint64_t before = 0;
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(1s);
    const Capture capture = capture_running(target(), {}, {});
    ASSERT_EQ(capture.drives.size(), 2u);
    const BlockReader& disk = *capture.drives[1].disk;
    std::this_thread::sleep_for(3s);  // it overwrites what was captured
    const std::vector<std::uint64_t> numbers = numbers_on(disk);
    const std::uint64_t last = *std::ranges::max_element(numbers);
    EXPECT_GT(last, before) << "the guest goes on writing";
    EXPECT_EQ(numbers, numbers_until(last));
    before = last;
  }
  guest_->type("touch /run/stop");
  guest_->wait_for("PATTERN-ENDS");
  const Capture after = capture_running(target(), {}, {});
  const std::vector<std::uint64_t> numbers = numbers_on(*after.drives[1].disk);
  EXPECT_GT(*std::ranges::max_element(numbers), before + 10) << "the captures were of moments long ago";
  EXPECT_EQ(numbers, numbers_until(*std::ranges::max_element(numbers)));
}

TEST_F(CaptureGuest, KilledWhileItIsFrozen) {
  kill_at([&] {
    const Freeze freeze = Freeze::begin(target().agent, 10s, 60s);
    if (freeze.answer() == Freeze::Answer::frozen) die();
  });
  expect_that_the_guest_writes();
}

TEST_F(CaptureGuest, KilledWithTheTransaction) {
  kill_at([&] {
    Qmp qmp = Qmp::connect(target().qmp, 5s);
    auto drives = writable_drives(qmp);
    Fleece fleece(std::move(qmp), target().qmp, std::move(drives), target().scratch);
    const Freeze freeze = Freeze::begin(target().agent, 10s, 60s);
    fleece.take();
    if (freeze.answer() == Freeze::Answer::frozen) die();
  });
  expect_that_the_guest_writes();
}

TEST_F(CaptureGuest, KilledWhileTheMachineStandsStill) {
  kill_at([&] {
    Qmp qmp = Qmp::connect(target().qmp, 5s);
    auto drives = writable_drives(qmp);
    Fleece fleece(std::move(qmp), target().qmp, std::move(drives), target().scratch);
    fleece.pause();
    fleece.take();
    const File memory = fleece.save_memory(target().scratch);
    if (memory.size() > 20 * mib) die();
  });
  expect_that_the_guest_writes();
}

TEST_F(CaptureGuest, AMachineThatTheUserHasPausedStaysPausedWithItsMemory) {
  Qmp qmp = Qmp::connect(guest_->file(machine_file::qmp), 30s);
  qmp.execute("stop");
  {
    CaptureSpec spec;
    spec.with_memory = true;
    const Capture capture = capture_running(target(), spec, {});
    ASSERT_EQ(capture.drives.size(), 3u);
    EXPECT_EQ(capture.drives[2].role, part_role::memory);
    EXPECT_GT(capture.drives[2].disk->size(), 20 * mib);
    EXPECT_FALSE(capture.facts.contains("memory.still_ms")) << "it stood still already";
  }
  EXPECT_FALSE(qmp.execute("query-status").value("running", true));
  qmp.execute("cont");
}

TEST_F(CaptureGuest, KilledWhileItReads) {
  kill_at([&] {
    const Capture capture = capture_running(target(), {}, {});
    std::vector<std::byte> bytes(mib);
    capture.drives[0].disk->read(0, bytes);
    die();
  });
  expect_that_the_guest_writes();
  capture_running(target(), {}, {});
  EXPECT_FALSE(std::filesystem::exists(guest_->file(machine_file::fleece)));
  expect_that_the_guest_writes();
}

TEST_F(CaptureGuest, AKilnThatStandsStillDoesNotKeepTheGuestFrozen) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Freeze freeze = Freeze::begin(target().agent, 10s, 2s);
    (void)!::write(ready[1], freeze.answer() == Freeze::Answer::frozen ? "y" : "n", 1);
    ::raise(SIGSTOP);
    ::_exit(freeze.thaw().held ? 1 : 0);
  }
  char frozen = 0;
  ASSERT_EQ(::read(ready[0], &frozen, 1), 1);
  EXPECT_EQ(frozen, 'y');
  ::waitpid(child, nullptr, WUNTRACED);
  std::this_thread::sleep_for(2500ms);
  expect_that_the_guest_writes();
  ::kill(child, SIGCONT);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "it must not call that quiesced";
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(CaptureGuest, AMachineThatIsPausedWhileItIsFrozenIsThawedAfterwards) {
  {
    const Freeze freeze = Freeze::begin(target().agent, 10s, 60s);
    ASSERT_EQ(freeze.answer(), Freeze::Answer::frozen);
    Qmp::connect(guest_->file(machine_file::qmp), 5s).execute("stop");
  }
  std::this_thread::sleep_for(7s);  // the first request to thaw has run into its limit by then
  Qmp::connect(guest_->file(machine_file::qmp), 5s).execute("cont");
  std::this_thread::sleep_for(6s);
  expect_that_the_guest_writes();
}

TEST_F(CaptureGuest, AHookThatFails) {
  guest_->type(
      "mv /etc/qemu/fsfreeze-hook /etc/hook && printf '#!/bin/sh\\nexit 7\\n' >/etc/qemu/fsfreeze-hook && "
      "chmod 755 /etc/qemu/fsfreeze-hook && echo HOOK''-SET");
  guest_->wait_for("HOOK-SET");
  {
    const Capture capture = capture_running(target(), {}, {});
    EXPECT_EQ(capture.facts.at("capture.consistency"), "crash-consistent");
    EXPECT_THAT(capture.facts.at("capture.hooks"), HasSubstr("hook"));
    EXPECT_THAT(capture.warnings, testing::ElementsAre(HasSubstr("hook")));
  }
  expect_that_the_guest_writes();
  CaptureSpec spec;
  spec.least = Consistency::quiesced;
  EXPECT_THROW(capture_running(target(), spec, {}), Error);
  expect_that_the_guest_writes();
  guest_->type("mv /etc/hook /etc/qemu/fsfreeze-hook");
}

TEST_F(CaptureGuest, AnAgentThatHangs) {
  guest_->type("killall -STOP qemu-ga; echo AGENT''-HANGS");
  guest_->wait_for("AGENT-HANGS");
  {
    const Capture capture = capture_running(target(), {}, {});
    EXPECT_EQ(capture.facts.at("capture.consistency"), "crash-consistent");
    EXPECT_THAT(capture.warnings, testing::ElementsAre("no guest agent answers"));
    EXPECT_THAT(file_system(*capture.drives[0].disk, dir_ / "fs"), HasSubstr("needs_recovery"));
  }
  CaptureSpec spec;
  spec.least = Consistency::quiesced;
  EXPECT_THROW(capture_running(target(), spec, {}), Error);
  guest_->type("killall -CONT qemu-ga");
  expect_that_the_guest_writes();
}

}  // namespace
}  // namespace kiln
