// Captures of domains of a real libvirt: of a guest that writes, and of one that is paused or shut off.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "cli/program.h"
#include "libvirt/hosts.h"
#include "libvirt/live_domain.h"
#include "support/run.h"
#include "support/tiny_image.h"

namespace kiln::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Clock = std::chrono::steady_clock;

/// One guest for all: it boots for seconds.
class CaptureOfDomain : public testing::Test {
 protected:
  static void SetUpTestSuite() { domain_ = std::make_unique<LiveDomain>(first_host()); }
  static void TearDownTestSuite() { domain_.reset(); }
  ~CaptureOfDomain() override {
    EXPECT_FALSE(domain_->has_job());
    EXPECT_THAT(scratches(), IsEmpty());
    EXPECT_TRUE(kiln.processes_end());
  }

  std::vector<std::string> capture(const std::string& image, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"capture", "--domain", LiveDomain::name, "--connect", first_host().uri(),
                                   "--name",  image};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static std::vector<std::string> import(const std::string& image) {
    return {"import", "--domain", LiveDomain::name, "--connect", first_host().uri(), "--name", image};
  }
  json ask(std::vector<std::string> words) {
    words.emplace_back("--json");
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    return answer.status == 0 ? json::parse(answer.out) : json::object();
  }
  json captured(const std::string& image, std::vector<std::string> more = {}) {
    const auto begin = Clock::now();
    const Answer answer = kiln(capture(image, std::move(more)));
    EXPECT_EQ(answer.status, 0) << answer.err;
    warnings_ = answer.err;
    const json shown = ask({"image", "show", image});
    std::printf("%s", answer.out.c_str());
    std::printf("%ld ms\n", static_cast<long>((Clock::now() - begin) / 1ms));
    return shown["facts"];
  }
  std::string exported(const std::string& image, const std::string& part = "") {
    const std::string file = kiln / ("out-" + std::to_string(++exports_) + ".raw");
    std::vector<std::string> words{"image", "export", image, file};
    if (!part.empty()) words.insert(words.end(), {"--part", part});
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.err;
    return file;
  }
  /// What QEMU's own tools find on the disk, of a domain that does not write.
  std::string truth() {
    const std::string file = kiln / ("true-" + std::to_string(++exports_) + ".raw");
    qemu_img({"convert", "-U", "-f", "qcow2", "-O", "raw", domain_->file("system.qcow2"), file});
    return file;
  }
  static void expect_same(const std::string& one, const std::string& other) {
    const Outcome compared = run({"cmp", one, other});
    EXPECT_EQ(compared.status, 0) << compared.output;
  }
  /// The root file system of an exported disk.
  std::string root_of(const std::string& disk) const {
    const std::string file = disk + ".ext4";
    EXPECT_EQ(run({"dd", "if=" + disk, "of=" + file, "bs=1M", "skip=1", "status=none"}).status, 0);
    return file;
  }
  static std::vector<std::string> scratches() {
    std::vector<std::string> left;
    for (const std::string& one : first_host().volumes("stranger-"))
      if (one.find(".kiln-") != std::string::npos) left.push_back(one);
    return left;
  }
  /// Where the sockets and the blocks are of a capture that is to be killed.
  static std::vector<std::string> in_pool() { return {"--scratch", first_host().pool()}; }
  /// Numbers to both disks, one after the other, and each on its disk before the next.
  static void start_writing() {
    ASSERT_TRUE(domain_->shell(
        "(touch /run/writing; i=0; while [ ! -e /run/enough ]; do i=$((i+1)); printf '%-511d\\n' $i >/run/block; "
        "dd if=/run/block of=/dev/vdb conv=notrunc,fsync 2>/dev/null; echo $i >>/srv/numbers; sync; done; rm "
        "/run/writing) "
        ">/dev/null 2>&1 </dev/null &"));
  }
  static void stop_writing() {
    ASSERT_TRUE(
        domain_->shell("touch /run/enough; while [ -e /run/writing ]; do sleep 0.1; done; rm /run/enough; sync"));
  }
  static int number() {
    EXPECT_TRUE(domain_->shell("tail -1 /srv/numbers >/dev/ttyS0; echo '#' >/dev/ttyS0"));
    std::string log = domain_->log();
    log.erase(log.rfind('#'));
    const std::size_t line = log.find_last_not_of("0123456789\r\n");
    return std::stoi(log.substr(line + 1));
  }
  static void expect_that_the_guest_writes() {
    LiveDomain::wait_for([] { return domain_->freeze_status() == "thawed"; }, "the guest is thawed");
    EXPECT_TRUE(domain_->shell("date >/srv/mark && sync"));
  }

  static std::unique_ptr<LiveDomain> domain_;
  Program kiln;
  std::string warnings_;
  int exports_ = 0;
};
std::unique_ptr<LiveDomain> CaptureOfDomain::domain_;

TEST_F(CaptureOfDomain, IsQuiescedWhileTheGuestGoesOnWritingToBothDisks) {
  start_writing();
  LiveDomain::wait_for([] { return domain_->shell("[ $(tail -1 /srv/numbers) -gt 20 ]"); }, "it has written");
  const json facts = captured("live:1", {"--require", "quiesced"});
  EXPECT_EQ(facts["capture.consistency"], "quiesced");
  EXPECT_EQ(facts["capture.hooks"], "passed");
  EXPECT_EQ(facts["capture.instance"], "stranger");
  EXPECT_EQ(facts["capture.drive"], "vda");
  EXPECT_EQ(facts["capture.format"], "qcow2");
  EXPECT_EQ(facts["capture.read"], "all");
  EXPECT_EQ(facts["capture.part.vdb"], "vdb");
  EXPECT_EQ(facts["machine.cpus"], "1");
  EXPECT_EQ(facts["machine.memory"], std::to_string(192u << 20));
  EXPECT_EQ(facts["machine.disk_bus"], "virtio");
  EXPECT_EQ(facts["machine.nic"], "virtio");
  EXPECT_EQ(facts["boot.firmware"], "bios");
  EXPECT_LT(std::stoi(facts["capture.freeze_ms"].get<std::string>()), 10000);
  EXPECT_THAT(domain_->checkpoints(), ElementsAre(facts["capture.id"].get<std::string>()));
  const json parts = ask({"image", "show", "live:1"})["parts"];
  ASSERT_THAT(parts, SizeIs(1));
  EXPECT_EQ(parts[0]["role"], "data");
  expect_that_the_guest_writes();
  stop_writing();

  // Both disks are of one moment: the last numbers are the same, or the first disk was about to follow.
  const std::string root = root_of(exported("live:1"));
  const Outcome checked = run({"e2fsck", "-fn", root});
  EXPECT_EQ(checked.status, 0) << checked.output;
  EXPECT_THAT(run({"dumpe2fs", "-h", root}).output, testing::Not(HasSubstr("needs_recovery")));
  const std::string numbers = run({"debugfs", "-R", "cat /srv/numbers", root}).output;
  const std::size_t last = numbers.find_last_not_of('\n');
  const int of_system = std::stoi(numbers.substr(numbers.rfind('\n', last) + 1));
  const int of_data = std::stoi(read_text(exported("live:1", "vdb")));
  EXPECT_GE(of_data, of_system);
  EXPECT_LE(of_data, of_system + 1);
  EXPECT_GT(number(), of_data) << "the guest went on";
}

TEST_F(CaptureOfDomain, ReadsOnlyChangesAndIsTheDiskToTheByte) {
  captured("live:1");
  ASSERT_TRUE(domain_->shell("dd if=/dev/urandom of=/srv/noise bs=64k count=16 2>/dev/null; sync"));
  const json second = captured("live:2");
  EXPECT_EQ(second["capture.read"], "changes");
  ASSERT_TRUE(domain_->shell("rm /srv/noise; date >/srv/changed; sync"));
  first_host().virsh({"suspend", LiveDomain::name});
  const json third = captured("live:3");
  EXPECT_EQ(third["capture.read"], "changes");
  EXPECT_EQ(third["capture.consistency"], "crash-consistent");
  EXPECT_THAT(warnings_, HasSubstr("the machine is paused"));
  EXPECT_THAT(domain_->checkpoints(), SizeIs(2)) << "of no use is none but the last image's, and this one";
  EXPECT_EQ(kiln(capture("live:4", {"--require", "quiesced"})).status, 3);
  expect_same(exported("live:3"), truth());
  first_host().virsh({"resume", LiveDomain::name});

  // An image that is gone is nothing to go on from.
  for (const char* image : {"live:1", "live:2", "live:3"}) ASSERT_EQ(kiln({"image", "rm", image, "--now"}).status, 0);
  EXPECT_EQ(captured("live:5")["capture.read"], "all");
  EXPECT_THAT(domain_->checkpoints(), SizeIs(1));
  expect_that_the_guest_writes();
}

TEST_F(CaptureOfDomain, WhateverIsKilledTheGuestIsThawedAndNoJobIsLeft) {
  ASSERT_TRUE(
      domain_->shell("cp /etc/qemu/fsfreeze-hook /etc/hook; "
                     "printf '#!/bin/sh\\necho HOOK-$1 >/dev/ttyS0\\n' >/etc/qemu/fsfreeze-hook; sync"));
  int frozen = 0;
  for (const auto delay : {0ms, 15ms, 30ms, 45ms, 60ms, 80ms, 100ms, 130ms, 160ms, 200ms}) {
    const std::size_t before = domain_->log().size();
    const auto running = kiln.start(capture("killed:" + std::to_string(delay.count()), in_pool()));
    LiveDomain::wait_for([&] { return domain_->log().find("HOOK-freeze", before) != std::string::npos; }, "it freezes");
    std::this_thread::sleep_for(delay);
    ::kill(running.pid, SIGKILL);
    if (domain_->log().find("HOOK-thaw", before) == std::string::npos) ++frozen;
    const int status = kiln.wait(running).status;
    EXPECT_THAT(status, testing::AnyOf(0, 128 + SIGKILL)) << "it may have been faster than that";
    expect_that_the_guest_writes();
    LiveDomain::wait_for([] { return first_host().volumes("kiln-").empty(); }, "the job is cleared away");
    EXPECT_FALSE(domain_->has_job());
    EXPECT_THAT(scratches(), IsEmpty());
  }
  std::printf("killed while it was frozen: %d times\n", frozen);
  EXPECT_GE(frozen, 2);
  ASSERT_TRUE(domain_->shell("mv /etc/hook /etc/qemu/fsfreeze-hook; sync"));
  EXPECT_EQ(captured("after:1")["capture.consistency"], "quiesced");
  EXPECT_LE(domain_->checkpoints().size(), 2U) << "those of what was killed are of no use";
}

TEST_F(CaptureOfDomain, ADaemonThatDiesWhileTheGuestIsFrozen) {
  ASSERT_TRUE(
      domain_->shell("cp /etc/qemu/fsfreeze-hook /etc/hook; "
                     "printf '#!/bin/sh\\necho HOOK-$1 >/dev/ttyS0\\n' >/etc/qemu/fsfreeze-hook; sync"));
  const std::size_t before = domain_->log().size();
  const auto running = kiln.start(capture("lost:1", in_pool()));
  LiveDomain::wait_for([&] { return domain_->log().find("HOOK-freeze", before) != std::string::npos; }, "it freezes");
  first_host().stop();
  EXPECT_EQ(kiln.wait(running).status, 1);
  first_host().start();
  expect_that_the_guest_writes();
  ASSERT_TRUE(domain_->shell("mv /etc/hook /etc/qemu/fsfreeze-hook; sync"));
  EXPECT_EQ(captured("back:1")["capture.consistency"], "quiesced");
}

TEST_F(CaptureOfDomain, ARawDiskStaysRawWhateverTheGuestWritesOntoIt) {
  // A qcow2 header that names a file of the host's.
  const std::string evil = kiln / "evil.qcow2";
  qemu_img({"create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", evil, "8M"});
  const std::string header = read_text(evil).substr(0, 4096);
  std::string octal;
  for (const char c : header) {
    std::array<char, 8> one{};
    std::snprintf(one.data(), one.size(), "\\%03o", static_cast<unsigned char>(c));
    octal += one.data();
  }
  ASSERT_TRUE(domain_->shell("printf '" + octal + "' | dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null"));
  const std::string last = captured("evil:1")["capture.id"];
  const auto expect_raw = [&](const std::string& image) {
    const std::string disk = exported(image, "vdb");
    EXPECT_EQ(std::filesystem::file_size(disk), LiveDomain::data_size);
    expect_same(disk, domain_->file("data.raw"));
    EXPECT_EQ(read_text(disk).substr(0, 4096), header);
  };
  expect_raw("evil:1");

  first_host().virsh({"managedsave", LiveDomain::name});
  EXPECT_EQ(kiln(capture("saved:1", {"--require", "stopped"})).status, 3);
  EXPECT_EQ(captured("saved:1")["capture.consistency"], "crash-consistent");
  EXPECT_THAT(warnings_, HasSubstr("its memory is saved"));
  first_host().virsh({"managedsave-remove", LiveDomain::name});
  const json off = captured("evil:2", {"--require", "stopped"});
  EXPECT_EQ(off["capture.consistency"], "stopped");
  EXPECT_EQ(off["capture.read"], "all");
  EXPECT_EQ(off["machine.memory"], std::to_string(192u << 20));
  expect_raw("evil:2");
  expect_same(exported("evil:2"), truth());

  const Answer imported = kiln(import("in"));
  EXPECT_EQ(imported.status, 0) << imported.err;
  const json in = ask({"image", "show", "in"}), out = ask({"image", "show", "evil:2"});
  EXPECT_EQ(in["content"], out["content"]);
  EXPECT_EQ(in["parts"][0]["content"], out["parts"][0]["content"]);
  EXPECT_EQ(in["facts"]["source.kind"], "import");
  EXPECT_EQ(in["facts"]["machine.cpus"], "1");

  // From another host its files are fetched, as its daemon sends them: an ssh that goes nowhere.
  const std::filesystem::path run_folder = first_host().pool().parent_path() / "run";
  const std::string as_owner = ::geteuid() == 0 ? "setpriv --reuid 65534 --regid 65534 --clear-groups " : "";
  const std::string ssh = kiln.write("ssh", "#!/bin/sh\nXDG_RUNTIME_DIR='" + run_folder.string() + "' exec " +
                                                as_owner + "virt-ssh-helper qemu:///session\n");
  std::filesystem::permissions(ssh, std::filesystem::perms::owner_all);
  const std::string remote = "qemu+ssh://elsewhere/session?proxy=native&command=" + ssh;
  run({"virsh", "-q", "-c", first_host().uri(), "pool-start", "kiln"});
  first_host().virsh({"pool-refresh", "kiln"});
  const std::vector<std::string> there{"capture", "--domain", LiveDomain::name, "--connect", remote, "--name", "far:1"};
  const Answer far = kiln(there);
  EXPECT_EQ(far.status, 0) << far.err;
  EXPECT_EQ(ask({"image", "show", "far:1"})["content"], ask({"image", "show", "evil:2"})["content"]);
  EXPECT_EQ(ask({"image", "show", "far:1"})["parts"][0]["content"],
            ask({"image", "show", "evil:2"})["parts"][0]["content"]);

  // Somebody's tools have taken a bitmap away: then all is read, once.
  EXPECT_EQ(domain_->checkpoints(), std::vector<std::string>{last});
  qemu_img({"bitmap", "--remove", "-f", "qcow2", domain_->file("system.qcow2"), last});
  domain_->start();
  EXPECT_EQ(captured("evil:4", {"--require", "quiesced"})["capture.read"], "all");
  EXPECT_THAT(warnings_, HasSubstr("no checkpoint could be used"));
  EXPECT_EQ(captured("evil:5")["capture.read"], "changes");
  EXPECT_THAT(warnings_, testing::Not(HasSubstr("checkpoint")));
  const Answer runs = kiln(there);
  EXPECT_EQ(runs.status, 3);
  EXPECT_THAT(runs.err, HasSubstr("runs on another host"));
  EXPECT_EQ(kiln(capture("evil:3", {"--require", "stopped"})).status, 3);
}

TEST_F(CaptureOfDomain, SaysWhatIsWrong) {
  const Answer runs = kiln(import("x"));
  EXPECT_EQ(runs.status, 3) << "what runs is for capture";
  EXPECT_THAT(runs.err, HasSubstr("is not shut off")) << runs.err;
  EXPECT_THAT(kiln({"capture", "--domain", "nobody", "--connect", first_host().uri(), "--name", "x"}).err,
              HasSubstr("there is no domain \"nobody\""));
  EXPECT_EQ(kiln({"capture", "one", "--domain", "two", "--name", "x"}).status, 2);
  EXPECT_EQ(kiln({"capture", "one", "--connect", first_host().uri(), "--name", "x"}).status, 2);
  const Answer nowhere = kiln(capture("x", {"--scratch", (kiln / "none").string()}));
  EXPECT_EQ(nowhere.status, 2) << nowhere.err;
  EXPECT_THAT(nowhere.err, HasSubstr("there is no folder"));
}

TEST_F(CaptureOfDomain, AnInstanceThatIsADomain) {
  std::filesystem::copy_file(tiny_image("stay"), kiln / "tiny.qcow2");
  ASSERT_EQ(kiln({"import", "tiny.qcow2", "--name", "tiny", "--version", "1"}).status, 0);
  const auto name = [&](const std::string& image) {
    return std::vector<std::string>{"capture", "one", "--name", image};
  };
  const Answer launched = kiln({"launch", "tiny", "--name", "one", "--memory", "128M", "--cpus", "1", "--driver",
                                "libvirt", "--connect", first_host().uri(), "--accel", "tcg"});
  ASSERT_EQ(launched.status, 0) << launched.err;
  const Answer first = kiln(name("copy:1"));
  ASSERT_EQ(first.status, 0) << first.err;
  const json running = ask({"image", "show", "copy:1"}), tiny = ask({"image", "show", "tiny"});
  EXPECT_EQ(running["facts"]["capture.consistency"], "crash-consistent");
  EXPECT_EQ(running["facts"]["capture.instance"], "one");
  EXPECT_EQ(running["facts"]["parent"], tiny["id"]);
  EXPECT_EQ(running["content"], tiny["content"]);
  EXPECT_THAT(running["parts"], IsEmpty()) << "its seed is nobody else's";
  ASSERT_EQ(kiln(name("copy:2")).status, 0);
  EXPECT_EQ(ask({"image", "show", "copy:2"})["facts"]["capture.read"], "changes");
  const Answer memory = kiln({"capture", "one", "--name", "copy:3", "--with-memory"});
  EXPECT_EQ(memory.status, 3);
  EXPECT_THAT(memory.err, HasSubstr("only an instance of this host"));
  ASSERT_EQ(kiln({"stop", "one", "--timeout", "1s"}).status, 0);
  ASSERT_EQ(kiln(name("copy:3")).status, 0);
  EXPECT_EQ(ask({"image", "show", "copy:3"})["facts"]["capture.consistency"], "stopped");
  EXPECT_EQ(ask({"image", "show", "copy:3"})["content"], tiny["content"]);
  EXPECT_EQ(kiln({"start", "one"}).status, 0) << "nothing keeps its disk";
  EXPECT_EQ(kiln({"rm", "one", "--force"}).status, 0);
  EXPECT_THAT(first_host().volumes("instance-"), IsEmpty());
}

TEST_F(CaptureOfDomain, WhatWasCapturedIsLaunched) {
  ASSERT_TRUE(domain_->shell("echo captured >/etc/hostname; sync"));
  captured("again:1", {"--require", "quiesced"});
  const Answer launched = kiln({"launch", "again", "--name", "two", "--accel", "tcg"});
  ASSERT_EQ(launched.status, 0) << launched.err;
  const auto log = kiln.home() / "instances/two/serial.log";
  LiveDomain::wait_for(
      [&] { return std::filesystem::exists(log) && read_text(log).find(small_guest_ready) != std::string::npos; },
      "what was captured boots");
  EXPECT_EQ(kiln({"rm", "two", "--force"}).status, 0);
}

}  // namespace
}  // namespace kiln::test
