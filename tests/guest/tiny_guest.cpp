#include "guest/tiny_guest.h"

#include <fstream>
#include <stdexcept>

#include "support/run.h"

namespace kiln::test {
namespace {

void put(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

void must(const std::vector<std::string>& command) {
  const Outcome o = run(command);
  if (o.status != 0) throw std::runtime_error(command[0] + " failed: " + o.output);
}

std::uint64_t offset_of(Layout layout) {
  return layout == Layout::whole_disk ? 0 : tiny_offset;
}

}  // namespace

void make_tiny_root(const std::filesystem::path& root) {
  for (const char* name : {"bin", "dev", "etc", "home/old", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin",
                           "var/log", "var/lib", "var/tmp", "etc/skel", "usr/share/zoneinfo/Europe"})
    std::filesystem::create_directories(root / name);
  std::filesystem::copy_file("/bin/busybox", root / "bin/busybox");
  for (const char* applet : {"sh",     "cat", "chmod", "chown", "echo", "env",   "false", "id", "ls",  "mkdir",
                             "printf", "rm",  "sleep", "stat",  "tail", "touch", "true",  "wc", "seq", "test"})
    std::filesystem::create_symlink("busybox", root / "bin" / applet);
  put(root / "etc/os-release", "ID=debian\nNAME=\"Tiny Linux\"\nVERSION_ID=\"1.2\"\nPRETTY_NAME=\"Tiny Linux 1.2\"\n");
  put(root / "etc/debian_version", "1.2\n");
  put(root / "etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n");
  put(root / "etc/hostname", "tiny\n");
  put(root / "etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\ttiny\n");
  put(root / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nold:x:1000:1000::/home/old:/bin/sh\n");
  put(root / "etc/shadow", "root:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\n");
  put(root / "etc/group", "root:x:0:\nsudo:x:27:\nadm:x:4:old\nold:x:1000:\n");
  put(root / "etc/gshadow", "root:*::\nsudo:*::\nadm:*::old\nold:!::\n");
  put(root / "etc/skel/.profile", "# profile\n");
  put(root / "usr/share/zoneinfo/Europe/Berlin", "TZif2");
  std::filesystem::permissions(root / "tmp", std::filesystem::perms(01777));
}

void make_tiny_disk(const std::filesystem::path& qcow2, const std::filesystem::path& root, std::uint64_t size,
                    Layout layout, unsigned block_size) {
  const std::filesystem::path raw = qcow2.string() + ".raw";
  put(raw, "");
  std::filesystem::resize_file(raw, size);
  const std::uint64_t offset = offset_of(layout);
  const std::uint64_t room = size - offset - (layout == Layout::gpt ? tiny_offset : 0);
  if (layout == Layout::gpt) must({"sgdisk", "--new=1:2048:" + std::to_string(2048 + room / 512 - 1), raw.string()});
  if (layout == Layout::mbr) {
    const std::filesystem::path script = qcow2.string() + ".sfdisk";
    put(script, "label: dos\nstart=2048, type=83, bootable\n");
    must({"sh", "-c", "exec sfdisk --quiet \"$0\" <\"$1\"", raw.string(), script.string()});
    std::filesystem::remove(script);
  }
  must({"mke2fs", "-q", "-F", "-t", "ext4", "-b", std::to_string(block_size), "-d", root.string(), "-E",
        "root_owner=0:0,offset=" + std::to_string(offset), raw.string(), std::to_string(room / block_size)});
  qemu_from_raw(raw, qcow2, "qcow2");
  std::filesystem::remove(raw);
}

void make_overlay(const std::filesystem::path& qcow2, const std::filesystem::path& below) {
  qemu_img(
      {"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", std::filesystem::absolute(below).string(), qcow2.string()});
}

std::string debugfs(const std::filesystem::path& qcow2, const std::string& request, Layout layout) {
  const std::filesystem::path raw = qcow2.string() + ".look.raw";
  qemu_to_raw(qcow2, "qcow2", raw);
  const Outcome o = run({"debugfs", "-R", request, raw.string() + "?offset=" + std::to_string(offset_of(layout))});
  std::filesystem::remove(raw);
  const std::size_t banner = o.output.find('\n');  // "debugfs 1.47.0 (5-Feb-2023)"
  return o.output.starts_with("debugfs ") && banner != std::string::npos ? o.output.substr(banner + 1) : o.output;
}

}  // namespace kiln::test
