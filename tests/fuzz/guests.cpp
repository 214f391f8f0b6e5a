#include "guests.h"

#include <exception>

#include <kiln/testing.h>

#include "plugins/preflight/cpio.h"
#include "support/plugins.h"

namespace kiln::fuzz {
namespace {

constexpr std::string_view mark = "#### ";

/// What stands in a text before `end`, which is taken off as well.
std::string_view take(std::string_view& text, std::string_view end) {
  const std::size_t at = text.find(end);
  const std::string_view out = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + end.size());
  return out;
}

void fill(fakes::FakeGuest& guest, std::string_view text) {
  take(text, mark);
  while (!text.empty()) {
    std::string_view section = take(text, mark);
    const std::string name(take(section, "\n"));
    if (name.starts_with("fact "))
      guest.facts[name.substr(5)] = section.substr(0, section.find('\n'));
    else if (name.starts_with("call "))
      guest.call_results[name.substr(5)] = section;
    else
      guest.files[name] = section;
  }
}

std::string preflight(std::string_view text, bool fix) {
  static const Stage& stage = test::load_stage("preflight");
  fakes::FakeContext ctx;
  ctx.size = std::uint64_t{8} << 30;
  ctx.fake_guest.facts["os.root"] = "/dev/sda1";
  fill(ctx.fake_guest, text);
  try {
    stage.run_with(ctx, {{"fix", Value{fix}}});
  } catch (const Error& error) {
    if (std::string(error.what()).empty()) return "an Error without words";
  }
  for (const Finding& finding : ctx.findings)
    if (finding.what.empty() || finding.code.empty()) return "a finding without words";
  return {};
}

std::string section(const std::string& name, const std::string& content) {
  return std::string(mark) + name + '\n' + content + '\n';
}

/// What all of them have.
std::string common() {
  return section("/lib/modules/6.1/modules.dep",
                 "kernel/drivers/block/virtio_blk.ko: \nkernel/drivers/virtio/virtio_pci.ko: kernel/a.ko\n") +
         section("/lib/modules/6.1/modules.builtin", "kernel/drivers/virtio/virtio.ko\n") +
         section("/boot/vmlinuz-6.1", "kernel") +
         section("/boot/config-6.1", "CONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_NET=y\n# CONFIG_VIRTIO is not set") +
         section("/etc/fstab",
                 "# table\n/dev/sda1 / ext4 defaults 0 1\nUUID=0b1e-52 /home xfs ro 0 2\n"
                 "//server/share /mnt cifs x\n/dev/mapper/vg-root /var btrfs subvol=@ 0 0\n") +
         section("call vfs-uuid", "0b1e-52") + section("call mountpoints", "/ /dev/sda1\n/boot/efi /dev/sda15\n");
}

std::string debian() {
  return common() + section("/boot/initrd.img-6.1", test::cpio_of({"bin/sh"})) +
         section("/boot/grub/grub.cfg", "menuentry 'a' {\n  linux /boot/vmlinuz-6.1 root=/dev/sda1 ro quiet\n}\n") +
         section("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"root=/dev/vda1 quiet\"\n") +
         section("/usr/sbin/update-initramfs", "program") + section("/etc/initramfs-tools/modules", "# mine\nloop") +
         section("/etc/network/interfaces",
                 "auto lo eth0\niface lo inet loopback\niface eth0 inet static\n  address 10.0.0.5/24\n  gateway "
                 "10.0.0.1\nsource /etc/network/interfaces.d/*\n") +
         section("/etc/netplan/01.yaml",
                 "network:\n  version: 2\n  ethernets:\n    ens3:\n      addresses: [10.0.0.5/24]\n      routes:\n"
                 "      - to: default\n        via: 10.0.0.1\n  bonds:\n    b0: {dhcp4: true}\n") +
         section("/boot/efi/EFI/debian/shimx64.efi", "shim") + section("/boot/efi/EFI/debian/grubx64.efi", "grub") +
         section("/usr/bin/vmtoolsd", "program") + section("/root/.ssh/id_rsa", "-----BEGIN OPENSSH PRIVATE KEY-----");
}

std::string rhel() {
  return common() + section("fact os.distro", "rhel") + section("/usr/bin/dracut", "program") +
         section("/boot/initramfs-6.1.img", test::cpio_of({"virtio_blk.ko", "virtio_pci.ko.xz"})) +
         section("/boot/grub2/grubenv", "# GRUB Environment Block\nkernelopts=root=/dev/sda1 ro\n##########") +
         section("/etc/kernel/cmdline", "root=/dev/sda1 ro\n") + section("/etc/selinux/config", "SELINUX=enforcing\n") +
         section("/boot/loader/entries/a-6.1.conf",
                 "title a\nlinux /vmlinuz-6.1\noptions root=/dev/sda1 $kernelopts\n") +
         section("/boot/extlinux/extlinux.conf", "LABEL a\n  LINUX /vmlinuz-6.1\n  APPEND root=/dev/sda1 ro\n") +
         section("/boot/loader/loader.conf", "default a\n") +
         section("/etc/sysconfig/network-scripts/ifcfg-eth0",
                 "DEVICE=eth0\nBOOTPROTO=\"none\"\nIPADDR=10.0.0.5\nPREFIX=24\nHWADDR=52:54:00:00:00:01\n") +
         section("/etc/NetworkManager/system-connections/a.nmconnection",
                 "[connection]\nid=a\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=manual\n"
                 "address1=10.0.0.5/24,10.0.0.1\ndns=1.1.1.1;\n") +
         section("/etc/systemd/network/a.network", "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.5/24\nDHCP=no\n");
}

std::string arch_linux() {
  return section("/usr/lib/modules/6.9.1-arch1-1/pkgbase", "linux\n") +
         section("/usr/lib/modules/6.9.1-arch1-1/modules.dep", "kernel/drivers/block/virtio_blk.ko.zst:\n") +
         section("/usr/lib/modules/6.9.1-arch1-1/vmlinuz", "kernel") + section("/boot/EFI/Linux/arch.efi", "both") +
         section("/boot/initramfs-linux.img", test::cpio_of({"virtio_blk.ko"})) +
         section("/efi/0123/6.9.1/initrd", "any") + section("/efi/0123/6.9.1/linux", "kernel") +
         section("/etc/fstab", "PARTUUID=1 / ext4 rw 0 1\n/dev/disk/by-id/a-part2 none swap sw 0 0\n");
}

}  // namespace

std::string exercise_guest(std::string_view text) try {
  const std::string wrong = preflight(text, false);
  return wrong.empty() ? preflight(text, true) : wrong;
} catch (const std::exception& error) {
  return std::string("an exception that is no Error: ") + error.what();
}

std::vector<std::string> guest_seeds() {
  return {debian(), rhel(), arch_linux(),
          section("fact os.type", "windows") + section("/Windows/System32/drivers/netkvm.sys", "x")};
}

}  // namespace kiln::fuzz
