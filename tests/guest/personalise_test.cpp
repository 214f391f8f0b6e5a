#include "guest/personalise.h"

#include <gmock/gmock.h>

#include <kiln/error.h>
#include <kiln/file.h>

#include "guest/tiny_guest.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

void put(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  write_text(file, text);
}

/// The tiny guest with what a machine has of its own: it was left in by whoever made the image.
void make_image(const test::TempDir& dir) {
  const auto root = dir / "root";
  std::filesystem::create_directories(root);
  test::make_tiny_root(root);
  put(root / "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
  put(root / "etc/ssh/sshd_config", "");
  put(root / "etc/ssh/ssh_host_ed25519_key", "the image's\n");
  put(root / "etc/ssh/ssh_host_ed25519_key.pub", "the image's\n");
  put(root / "var/lib/systemd/random-seed", "the image's\n");
  put(root / "root/.ssh/authorized_keys", "ssh-ed25519 AAAA boss");
  test::make_tiny_disk(dir / "base.qcow2", root, 64u << 20);
}

std::string id_of(int i) {
  std::string id(32, 'a');
  id.back() = static_cast<char>('0' + i);
  return id;
}

std::string file_in(const std::filesystem::path& disk, const std::string& path) {
  return test::debugfs(disk, "cat " + path);
}

TEST(Personalise, GivesEachDiskItsOwnIdentityInOneAppliance) {
  const test::TempDir dir;
  make_image(dir);
  const std::string base = read_text(dir / "base.qcow2", 256u << 20);
  std::vector<ClonedDisk> disks;
  for (int i = 1; i <= 3; ++i) {
    const auto overlay = dir / ("web-" + std::to_string(i) + ".qcow2");
    test::make_overlay(overlay, dir / "base.qcow2");
    disks.push_back(
        {overlay, {"web-" + std::to_string(i), id_of(i), std::string(512, static_cast<char>('0' + i)), {}}});
  }
  disks[1].identity.root_keys = {"ssh-ed25519 BBBB me"};
  int appliances = 0;
  std::filesystem::create_directories(dir / "run");
  personalise_all(disks, {.overlay = {}, .run_dir = dir / "run", .progress = [&](const Progress& p) {
                            appliances += p.what.find("appliance up") != std::string::npos;
                          }});
  EXPECT_EQ(appliances, 1);

  std::vector<std::string> keys;
  for (int i = 1; i <= 3; ++i) {
    const auto& disk = disks[static_cast<std::size_t>(i - 1)].overlay;
    const std::string name = "web-" + std::to_string(i);
    EXPECT_THAT(test::qemu_img({"check", "-f", "qcow2", disk.string()}), HasSubstr("No errors"));
    EXPECT_EQ(file_in(disk, "/etc/hostname"), name + "\n");
    EXPECT_THAT(file_in(disk, "/etc/hosts"), HasSubstr("127.0.1.1\t" + name + "\n"));
    EXPECT_EQ(file_in(disk, "/etc/machine-id"), id_of(i) + "\n");
    EXPECT_EQ(file_in(disk, "/var/lib/systemd/random-seed"), std::string(512, static_cast<char>('0' + i)));
    keys.push_back(file_in(disk, "/etc/ssh/ssh_host_ed25519_key"));
    EXPECT_THAT(keys.back(), StartsWith("-----BEGIN OPENSSH PRIVATE KEY-----"));
    EXPECT_THAT(file_in(disk, "/etc/ssh/ssh_host_ed25519_key.pub"), ContainsRegex("ssh-ed25519 .* root@" + name));
    EXPECT_THAT(test::debugfs(disk, "stat /etc/ssh/ssh_host_ed25519_key"), HasSubstr("Mode:  0600"));
    // Of the kinds that the guest had, and of no others.
    EXPECT_THAT(test::debugfs(disk, "ls -p /etc/ssh"), Not(HasSubstr("rsa")));
  }
  EXPECT_NE(keys[0], keys[1]);
  EXPECT_NE(keys[1], keys[2]);
  EXPECT_EQ(file_in(disks[0].overlay, "/root/.ssh/authorized_keys"), "ssh-ed25519 AAAA boss");
  EXPECT_EQ(file_in(disks[1].overlay, "/root/.ssh/authorized_keys"), "ssh-ed25519 AAAA boss\nssh-ed25519 BBBB me\n");
  EXPECT_TRUE(base == read_text(dir / "base.qcow2", 256u << 20));
  for (const auto& left : std::filesystem::directory_iterator(dir / "run"))
    EXPECT_THAT(left.path().filename().string(), Not(HasSubstr("key")));
}

TEST(Personalise, RefusesADiskWithoutASystem) {
  const test::TempDir dir;
  test::qemu_img({"create", "-q", "-f", "qcow2", dir / "base.qcow2", "16M"});
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  std::filesystem::create_directories(dir / "run");
  try {
    personalise_all({{dir / "a.qcow2", {"a", id_of(1), "x", {}}}}, {.overlay = {}, .run_dir = dir / "run"});
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the image holds no Linux that could be given an identity");
  }
}

}  // namespace
}  // namespace kiln
