// One appliance for all of it: starting one takes seconds.
#include <gmock/gmock.h>

#include <kiln/file.h>

#include "guest/stage_context.h"
#include "guest/tiny_guest.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"
#include "support/values.h"

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

/// Stands in every file that has to go; KEEP stands in every file that has to stay.
constexpr const char* marker = "MARKER-OF-A-SECRET";

const std::vector<std::string> gone{"/etc/ssh/ssh_host_ed25519_key",
                                    "/etc/ssh/ssh_host_ed25519_key.pub",
                                    "/var/lib/cloud/instances/i-1/user-data.txt",
                                    "/var/log/journal/0123/system.journal",
                                    "/var/log/syslog.1",
                                    "/var/log/dpkg.log.2.gz",
                                    "/var/log/messages-20260101",
                                    "/root/.bash_history",
                                    "/home/old/.python_history",
                                    "/home/old/.viminfo",
                                    "/root/.ssh/known_hosts",
                                    "/var/lib/dhcp/dhclient.eth0.leases",
                                    "/var/lib/NetworkManager/internal-1-eth0.lease",
                                    "/var/lib/systemd/random-seed",
                                    "/etc/udev/rules.d/70-persistent-net.rules",
                                    "/var/cache/apt/archives/x_1_amd64.deb",
                                    "/var/lib/apt/lists/mirror.example_Packages",
                                    "/etc/shadow-",
                                    "/var/mail/old",
                                    "/var/crash/core.1",
                                    "/tmp/left",
                                    "/tmp/.hidden/deep",
                                    "/var/tmp/left"};
const std::vector<std::string> emptied{"/etc/machine-id", "/var/log/syslog", "/var/log/apt/history.log",
                                       "/var/log/wtmp"};
const std::vector<std::string> kept{"/root/.ssh/authorized_keys", "/root/.profile",
                                    "/var/lib/cloud/seed/nocloud/user-data", "/etc/ssh/sshd_config", "/srv/data"};

void plant(const test::TempDir& dir) {
  const std::filesystem::path root = dir / "root";
  test::make_tiny_root(root);
  const auto put = [&](const std::string& path, const std::string& word) {
    const std::filesystem::path file = root / path.substr(1);
    std::filesystem::create_directories(file.parent_path());
    std::string content;
    for (int i = 0; i < 300; ++i) content += word + path + "\n";
    write_text(file, content);
  };
  // Taken in turn, so that what goes lies block by block between what stays.
  for (std::size_t i = 0; i < gone.size(); ++i) {
    put(gone[i], marker);
    put("/srv/between/" + std::to_string(i), "KEEP");
  }
  for (const std::string& path : emptied) put(path, marker);
  for (const std::string& path : kept) put(path, "KEEP");
  std::filesystem::create_directories(root / "var/lib/dbus");
  write_text(root / "var/lib/dbus/machine-id", marker);
  for (const char* program : {"usr/sbin/sshd", "usr/bin/ssh-keygen", "lib/systemd/systemd", "usr/bin/cloud-init"}) {
    std::filesystem::create_directories((root / program).parent_path());
    write_text(root / program, "program");
  }
}

std::size_t count(const std::filesystem::path& disk, const std::string& word) {
  const std::filesystem::path raw = disk.string() + ".raw";
  test::qemu_to_raw(disk, "qcow2", raw);
  const std::string bytes = read_text(raw, 1u << 30);
  std::filesystem::remove(raw);
  std::size_t n = 0;
  for (std::size_t at = 0; (at = bytes.find(word, at)) != std::string::npos; at += word.size()) ++n;
  return n;
}

void only_the_machine_is_gone(Guest& g) {
  for (const std::string& path : gone) EXPECT_FALSE(g.exists(path)) << path;
  for (const std::string& path : emptied) EXPECT_EQ(g.read(path), "") << path;
  for (const std::string& path : kept) EXPECT_THAT(g.read(path), HasSubstr("KEEP")) << path;
  EXPECT_EQ(g.call({"readlink", "/var/lib/dbus/machine-id"}), "/etc/machine-id");
  EXPECT_TRUE(g.is_directory("/tmp"));
  EXPECT_THAT(g.call({"lstat", "/tmp"}), HasSubstr(" 41777 "));
  const std::string unit = "/etc/systemd/system/multi-user.target.wants/kiln-ssh-host-keys.service";
  EXPECT_THAT(g.read(unit), HasSubstr("ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key\n"));
  EXPECT_THAT(g.read(unit), HasSubstr("ExecStart=/usr/bin/ssh-keygen -A\n"));
}

TEST(Sysprep, LeavesNoTraceOfTheMachine) {
  const test::TempDir dir;
  plant(dir);
  test::make_tiny_disk(dir / "base.qcow2", dir / "root", 48u << 20);
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  ASSERT_GT(count(dir / "a.qcow2", marker), 1000u);
  const std::size_t keep = count(dir / "a.qcow2", "KEEP");

  const Stage& sysprep = test::load_stage("sysprep");
  test::StageContext context(dir / "a.qcow2", dir.path());
  context.run(sysprep, {{"operations", test::texts({"mail", "shell-history"})}, {"skip", test::texts({"mail"})}});
  EXPECT_THAT(context.summed_up, MatchesRegex("1 operations, 3 files, .* KiB removed"));
  EXPECT_TRUE(context.guest().exists("/var/mail/old"));
  EXPECT_FALSE(context.guest().exists("/root/.bash_history"));

  context.run(sysprep, {});
  EXPECT_THAT(context.summed_up, MatchesRegex("15 operations, [0-9]+ files, .* KiB removed"));
  only_the_machine_is_gone(context.guest());
  context.run(sysprep, {});  // nothing left to do is no error
  context.close();

  EXPECT_EQ(count(dir / "a.qcow2", marker), 0u) << "secrets can be read from free blocks";
  EXPECT_EQ(count(dir / "a.qcow2", "KEEP"), keep);
}

TEST(Sysprep, LeavesNoTraceInTheSmallestBlocksNorBehindALink) {
  const test::TempDir dir;
  plant(dir);
  std::filesystem::create_directory(dir / "root/data");
  std::filesystem::rename(dir / "root/home", dir / "root/data/home");
  std::filesystem::create_directory_symlink("/data/home", dir / "root/home");
  write_text(dir / "root/data/home/old/.bash_history", "SMALL-SECRET");
  for (int i = 0; i < 50; ++i) {
    write_text(dir / ("root/tmp/small" + std::to_string(i)), "SMALL-SECRET");
    write_text(dir / ("root/srv/data" + std::to_string(i)), "KEEP");
  }
  test::make_tiny_disk(dir / "base.qcow2", dir / "root", 48u << 20, test::Layout::whole_disk, 1024);
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  ASSERT_EQ(count(dir / "a.qcow2", "SMALL-SECRET"), 51u);
  test::StageContext context(dir / "a.qcow2", dir.path());
  context.run(test::load_stage("sysprep"), {{"operations", test::texts({"tmp-files", "shell-history", "free-space"})}});
  context.close();
  EXPECT_EQ(count(dir / "a.qcow2", "SMALL-SECRET"), 0u);
}

}  // namespace
}  // namespace kiln
