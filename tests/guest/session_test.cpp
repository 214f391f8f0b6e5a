// Each test starts an appliance, which takes seconds: what can share one does.
#include "guest/session.h"

#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include <kiln/file.h>

#include "guest/tiny_guest.h"
#include "support/full_disk.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::StartsWith;

/// "message | hint | evidence…"
std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    std::string all = error.what();
    if (!error.hint().empty()) all += " | " + error.hint();
    for (const std::string& line : error.evidence()) all += "\n" + line;
    return all;
  }
  return "no error";
}

/// A minimal operating system, made by the calls that a stage has.
void install(Session& s, const std::string& device, const std::string& product) {
  s.call({"mount", device, "/"});
  for (const char* folder : {"/bin", "/etc", "/tmp", "/dev", "/proc", "/sys", "/root"}) s.make_directory(folder);
  s.write("/etc/os-release", "ID=debian\nVERSION_ID=\"1.2\"\nPRETTY_NAME=\"" + product + "\"\n");
  s.write("/etc/debian_version", "1.2\n");
  s.write("/etc/hostname", "tiny\n");
  s.write("/etc/fstab", device + " / ext4 defaults 0 1\n");
  s.upload("/bin/busybox", "/bin/busybox");
  s.chmod("/bin/busybox", 0755);
  for (const char* applet : {"sh", "cat", "echo", "sleep", "tail", "seq"})
    s.link("busybox", std::string("/bin/") + applet);
  s.call({"umount-all"});
}

void empty_disk_is_told(Session& s) {
  EXPECT_TRUE(s.os().empty());
  EXPECT_THAT(message_of([&] { s.read("/etc/fstab"); }),
              StartsWith("the disk holds no operating system | stages that edit files need one"));
  EXPECT_THAT(message_of([&] {
                s.call({"format-everything", "/dev/sda"});
              }),
              StartsWith("the appliance has no call \"format-everything\" | "));
  EXPECT_EQ(message_of([&] {
              s.call({"part-init", "/dev/sda"});
            }),
            "\"part-init\" was called with 1 words | it is called as: part-init DEVICE gpt|mbr");
}

void disk_is_partitioned(Session& s) {
  s.call({"part-init", "/dev/sda", "gpt"});
  s.call({"part-add", "/dev/sda", "primary", "2048", "4095"});
  s.call({"part-add", "/dev/sda", "primary", "4096", "131071"});
  s.call({"part-add", "/dev/sda", "primary", "131072", "-2048"});
  s.call({"part-set-gpt-type", "/dev/sda", "1", "21686148-6449-6E6F-744E-656564454649"});  // BIOS boot
  s.call({"mkfs", "ext4", "/dev/sda2", "label:root"});
  s.call({"mkfs", "ext4", "/dev/sda3"});
  s.call({"set-uuid", "/dev/sda2", "0f5a7b7c-0000-4000-8000-000000000002"});
  EXPECT_EQ(s.call({"vfs-label", "/dev/sda2"}), "root");
  EXPECT_EQ(s.call({"vfs-uuid", "/dev/sda2"}), "0f5a7b7c-0000-4000-8000-000000000002");
  EXPECT_THAT(s.call({"part-list", "/dev/sda"}), StartsWith("1 1048576 2097151\n2 2097152 67108863\n3 "));
  EXPECT_THAT(s.filesystems(), testing::Contains("/dev/sda2 ext4"));
}

void system_is_found(Session& s) {
  install(s, "/dev/sda2", "Tiny \x1b[31mLinux");
  EXPECT_THAT(s.os(), testing::Contains(Pair("os.distro", "debian")));
  EXPECT_THAT(s.os(), testing::Contains(Pair("os.version", "1.2")));
  EXPECT_THAT(s.os(), testing::Contains(Pair("os.arch", "x86_64")));
  EXPECT_THAT(s.os(), testing::Contains(Pair("os.hostname", "tiny")));
  EXPECT_THAT(s.os(), testing::Contains(Pair("os.root", "/dev/sda2")));
  EXPECT_THAT(s.os(), testing::Contains(Pair("os.product", "Tiny \\x1b[31mLinux"))) << "escaped";
}

void files_are_edited(Session& s) {
  s.write("/etc/a", "one");
  s.append("/etc/a", " two");
  EXPECT_EQ(s.read("/etc/a"), "one two");
  const std::string bytes = std::string(3u << 20, 'x') + std::string("\0\n\xff", 3);
  s.write("/etc/big", bytes);
  EXPECT_EQ(s.read("/etc/big"), bytes) << "longer than one message of the appliance";
  EXPECT_THAT(message_of([&] { s.read("/etc/big", 1000); }),
              StartsWith("/etc/big in the guest has 3.0 MiB, more than the 1000 B"));
  EXPECT_THAT(s.glob("/etc/[ab]*"), ElementsAre("/etc/a", "/etc/big"));
  s.remove("/etc/big");
  EXPECT_FALSE(s.exists("/etc/big"));
  s.remove("/etc/big");  // absent is not an error
  s.truncate("/etc/a");
  EXPECT_EQ(s.read("/etc/a"), "");
  s.chown("/etc/a", 3, 4);
  s.chmod("/etc/a", 04711);
  EXPECT_EQ(s.call({"lstat", "/etc/a"}), "0 104711 3 4");
  EXPECT_TRUE(s.is_directory("/etc"));
  EXPECT_TRUE(s.is_file("/etc/a"));
}

void folders_are_copied(Session& s, const test::TempDir& dir) {
  std::filesystem::create_directories(dir / "tree/sub");
  write_text(dir / "tree/sub/file", "copied");
  std::filesystem::permissions(dir / "tree/sub/file", std::filesystem::perms(0750));
  s.make_directory("/srv");
  s.copy_in(dir / "tree", "/srv");
  EXPECT_EQ(s.read("/srv/tree/sub/file"), "copied");
  EXPECT_EQ(s.call({"lstat", "/srv/tree/sub/file"}), "6 100750 0 0") << "owned by root, mode kept";
}

void commands_run(Session& s, std::vector<std::string>& log) {
  EXPECT_EQ(s.run("echo hello; echo warned >&2"), "hello\nwarned\n");
  EXPECT_THAT(log, testing::Contains("warned"));
  EXPECT_EQ(s.run("cat"), "") << "standard input is empty";
  EXPECT_EQ(message_of([&] { s.run("echo before\necho why >&2; (exit 3)"); }),
            "a command in the guest ended with status 3: echo before\nbefore\nwhy");
  EXPECT_EQ(s.run("seq 1 400000").size(), 1u << 20) << "bounded";
}

void links_in_parents_lead_to_the_guests_own_files(Session& s, const test::TempDir& dir) {
  s.make_directory("/data/log/old");
  s.make_directory("/var");
  s.link("/data/log", "/var/log");
  s.write("/data/log/secret", "secret");
  s.link("secret", "/var/log/link");
  EXPECT_EQ(s.read("/data/log/link"), "secret");
  EXPECT_THAT(s.call({"find", "/var/log"}), AllOf(HasSubstr("secret"), HasSubstr("old")));
  s.call({"cp-a", "/var/log/secret", "/var/log/old/copy"});
  EXPECT_EQ(s.read("/data/log/old/copy"), "secret");
  s.call({"mv", "/var/log/old/copy", "/var/log/moved"});
  EXPECT_EQ(s.read("/data/log/moved"), "secret");
  s.copy_in(dir / "tree", "/var/log");
  EXPECT_EQ(s.read("/data/log/tree/sub/file"), "copied");
  s.remove("/var/log/secret");
  EXPECT_FALSE(s.exists("/data/log/secret"));
  s.make_directory("/var/log/new/deep");
  EXPECT_TRUE(s.is_directory("/data/log/new/deep"));
  s.make_directory("/var/log");  // it is one already
  s.remove("/var/log/old/");
  EXPECT_FALSE(s.exists("/data/log/old"));
  s.link("/data/log", "/var/new-log");
  s.call({"cp-a", "/etc/hostname", "/var/new-log"});
  EXPECT_EQ(s.read("/data/log/hostname"), "tiny\n");
  s.link("elsewhere", "/var/new-log");  // replaces the link, and puts nothing into what it led to
  EXPECT_EQ(s.call({"readlink", "/var/new-log"}), "elsewhere");
  EXPECT_FALSE(s.exists("/data/log/new-log"));
  EXPECT_THAT(message_of([&] { s.link("x", "/data/log"); }), HasSubstr("a folder is in the way"));
  s.remove("/var/new-log");
  s.remove("/var/nowhere/x");  // absent is not an error
  s.remove("/var/log");        // the link itself, not what it leads to
  EXPECT_TRUE(s.is_directory("/data/log"));
  EXPECT_FALSE(s.exists("/var/log"));
  s.remove("/data");
}

void guest_stays_inside_itself(Session& s) {
  const std::string host = read_text("/etc/passwd");
  s.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
  s.link("/etc/passwd", "/etc/leak");
  EXPECT_EQ(s.read("/etc/leak"), "root:x:0:0::/root:/bin/sh\n");
  s.link("../../../../../../../../etc/passwd", "/etc/climb");
  s.append("/etc/climb", "added\n");
  EXPECT_EQ(s.read("/etc/passwd"), "root:x:0:0::/root:/bin/sh\nadded\n");
  EXPECT_EQ(read_text("/etc/passwd"), host);
  s.run("busybox mkfifo /etc/pipe");
  EXPECT_EQ(message_of([&] { s.read("/etc/pipe"); }),
            "cannot read /etc/pipe: it is not a regular file | in the guest this name is a folder, a device, a FIFO or "
            "a socket");
  EXPECT_THAT(message_of([&] { s.write("/etc/pipe", "x"); }),
              StartsWith("cannot write /etc/pipe: it is not a regular"));
  EXPECT_THAT(message_of([&] { s.read("/etc/no\x1bthing"); }), StartsWith("cannot read /etc/no\\x1bthing: "));
}

/// What the layer alone, without the ones above it, holds in the second partition.
std::string in_layer(const std::filesystem::path& layer, const std::string& path) {
  const std::filesystem::path raw = layer.string() + ".raw";
  test::qemu_to_raw(layer, "qcow2", raw);
  const test::Outcome o = test::run({"debugfs", "-R", "cat " + path, raw.string() + "?offset=2097152"});
  const test::Outcome fsck = test::run({"e2fsck", "-fn", raw.string() + "?offset=2097152"});
  EXPECT_EQ(fsck.status, 0) << fsck.output;
  std::filesystem::remove(raw);
  return o.output;
}

void stages_have_layers_of_their_own(Session& s, const test::TempDir& dir) {
  s.write("/etc/first", "of layer a");
  test::make_overlay(dir / "b.qcow2", dir / "a.qcow2");
  const std::string os = s.os().at("os.root");
  s.move_to(dir / "b.qcow2");
  EXPECT_THAT(test::qemu_img({"check", "-U", "-f", "qcow2", dir / "a.qcow2"}), HasSubstr("No errors"));
  s.write("/etc/second", "of layer b");
  EXPECT_EQ(s.read("/etc/first"), "of layer a");
  s.flush();
  EXPECT_EQ(s.read("/etc/second"), "of layer b") << "mounted again after a flush";
  EXPECT_EQ(s.os().at("os.root"), os);
  s.make_directory("/filler");
  s.write("/filler/x", std::string(8u << 20, 'y'));
  s.flush();
  const auto full = File::open_read(dir / "b.qcow2").size();
  s.remove("/filler");
  s.call({"fstrim", "/"});
  EXPECT_GT(full, 8u << 20);
}

void hostile_release_files(Session& s) {
  s.call({"mount", "/dev/sda2", "/"});
  s.write("/etc/os-release", std::string(8u << 20, 'A'));
  s.call({"umount-all"});
  EXPECT_THAT(message_of([&] { s.os(); }), testing::AnyOf(Not(HasSubstr("AAAA")), StartsWith("cannot inspect")));
  s.call({"mount", "/dev/sda2", "/"});
  s.remove("/etc/os-release");
  s.remove("/etc/debian_version");
  s.call({"umount-all"});
  s.call({"mount", "/dev/sda2", "/"});
  s.call({"mv", "/etc/pipe", "/etc/os-release"});
  s.call({"umount-all"});
  EXPECT_THAT(message_of([&] { s.os(); }), testing::AnyOf("no error", StartsWith("cannot inspect")));
  s.call({"mount", "/dev/sda2", "/"});
  s.remove("/etc/os-release");
  s.call({"umount-all"});
}

/// What runs in QEMU's place has /usr, the appliance and the disk's socket, and no more of the host. The daemon's
/// control socket would open any file for it.
void machine_is_confined(const test::TempDir& dir) {
  namespace fs = std::filesystem;
  const test::Outcome found = test::run({"pgrep", "-f", "^/usr/bin/qemu-system.*nbd:unix:" + dir.path().string()});
  ASSERT_EQ(found.status, 0);
  const fs::path process = fs::path("/proc") / std::to_string(std::stoi(found.output)), root = process / "root";
  for (const char* hidden : {"etc/shadow", "etc/passwd", "root", "home", "boot", "sys", "run"})
    EXPECT_FALSE(fs::exists(root / hidden)) << hidden;
  const fs::path sockets = root / dir.path().relative_path();
  EXPECT_TRUE(fs::exists(sockets / "nbd.sock"));
  EXPECT_FALSE(fs::exists(sockets / "qmp.sock"));
  EXPECT_FALSE(fs::exists(sockets / "a.qcow2"));
  for (const char* space : {"net", "pid", "user", "ipc", "uts", "mnt"})
    EXPECT_NE(fs::read_symlink(process / "ns" / space), fs::read_symlink(fs::path("/proc/self/ns") / space)) << space;
  std::ifstream file(process / "status");
  const std::string status{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(status, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
}

void two_systems_are_refused(Session& s) {
  install(s, "/dev/sda2", "One");
  install(s, "/dev/sda3", "Two");
  const std::string message = message_of([&] { s.os(); });
  EXPECT_THAT(message, StartsWith("the disk holds 2 operating systems | "));
  EXPECT_THAT(message, HasSubstr("/dev/sda2  linux  debian  One"));
  EXPECT_THAT(message, HasSubstr("/dev/sda3  linux  debian  Two"));
}

TEST(Session, EditsADiskOverTwoLayers) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "base.qcow2", "128M"});
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  std::vector<std::string> log;
  std::vector<std::string> told;
  Session s({.overlay = dir / "a.qcow2",
             .run_dir = dir.path(),
             .log = [&](std::string_view line) { log.emplace_back(line); },
             .progress = [&](const Progress& p) { told.push_back(p.what); }});
  EXPECT_FALSE(s.launched());
  empty_disk_is_told(s);
  EXPECT_TRUE(s.launched());
  EXPECT_GT(s.launch_time().count(), 0);
  EXPECT_THAT(told, ElementsAre("starting the appliance", "appliance up " + format_duration(s.launch_time())));
  disk_is_partitioned(s);
  system_is_found(s);
  files_are_edited(s);
  folders_are_copied(s, dir);
  links_in_parents_lead_to_the_guests_own_files(s, dir);
  commands_run(s, log);
  machine_is_confined(dir);
  guest_stays_inside_itself(s);
  stages_have_layers_of_their_own(s, dir);
  hostile_release_files(s);
  two_systems_are_refused(s);
  s.close();
  s.close();
  EXPECT_EQ(message_of([&] { s.read("/etc/fstab"); }), "the guest session is closed");

  EXPECT_THAT(in_layer(dir / "a.qcow2", "/etc/first"), HasSubstr("of layer a"));
  EXPECT_THAT(in_layer(dir / "a.qcow2", "/etc/second"), HasSubstr("File not found"));
  EXPECT_THAT(in_layer(dir / "b.qcow2", "/etc/second"), HasSubstr("of layer b"));
  EXPECT_THAT(test::qemu_img({"check", "-f", "qcow2", dir / "b.qcow2"}), HasSubstr("No errors"));
}

TEST(Session, SaysThatTheHostsDiskIsFull) {
  const test::TempDir dir;
  test::make_tiny_root(dir / "root");
  test::make_tiny_disk(dir / "base.qcow2", dir / "root", 200u << 20);
  test::on_small_disk(16u << 20, [&](const std::filesystem::path& small) {
    test::make_overlay(small / "a.qcow2", dir / "base.qcow2");
    Session session({.overlay = small / "a.qcow2", .run_dir = dir.path()});
    EXPECT_THAT(
        message_of([&] {
          session.run("seq 1 8000000 >/big");
          session.close();
        }),
        StartsWith("the guest's disk could not be written: no space left on the host's disk | free some space"));
  });
}

TEST(Session, IsStoppedWhileACommandRuns) {
  const test::TempDir dir;
  test::make_tiny_root(dir / "root");
  test::make_tiny_disk(dir / "base.qcow2", dir / "root", 32u << 20);
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  std::stop_source source;
  std::jthread stopper;
  std::chrono::steady_clock::time_point stopped;
  {
    Session s({.overlay = dir / "a.qcow2", .run_dir = dir.path(), .stop = source.get_token()});
    EXPECT_EQ(s.read("/etc/hostname"), "tiny\n");
    stopper = std::jthread([&] {
      std::this_thread::sleep_for(std::chrono::seconds(1));
      stopped = std::chrono::steady_clock::now();
      source.request_stop();
    });
    EXPECT_EQ(message_of([&] { s.run("sleep 1000"); }), cancelled().what());
    EXPECT_LT(std::chrono::steady_clock::now() - stopped, std::chrono::seconds(5));
    EXPECT_EQ(message_of([&] { s.flush(); }), cancelled().what());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - stopped, std::chrono::seconds(10));
  // The kernel takes a moment to end what is left in a namespace.
  test::Outcome left = test::run({"pgrep", "-f", dir.path().string()});
  for (int i = 0; i < 200 && left.status == 0; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(10)))
    left = test::run({"pgrep", "-f", dir.path().string()});
  EXPECT_EQ(left.status, 1) << "still running: " << left.output;
}

TEST(Session, IsStoppedWhileTheApplianceStarts) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "a.qcow2", "16M"});
  std::stop_source source;
  Session s({.overlay = dir / "a.qcow2", .run_dir = dir.path(), .stop = source.get_token()});
  std::chrono::steady_clock::time_point stopped;
  const std::jthread stopper([&] {
    while (test::run({"pgrep", "-f", "nbd:unix:" + dir.path().string()}).status != 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stopped = std::chrono::steady_clock::now();
    source.request_stop();
  });
  EXPECT_EQ(message_of([&] { s.os(); }), cancelled().what());
  EXPECT_LT(std::chrono::steady_clock::now() - stopped, std::chrono::seconds(5));
}

TEST(Session, StartsNothingWhenItIsNotUsed) {
  const test::TempDir dir;
  Session s({.overlay = dir / "a.qcow2", .run_dir = dir.path()});
  s.flush();
  s.move_to(dir / "b.qcow2");
  s.close();
  EXPECT_FALSE(s.launched());
  EXPECT_EQ(s.launch_time().count(), 0);
}

}  // namespace
}  // namespace kiln
