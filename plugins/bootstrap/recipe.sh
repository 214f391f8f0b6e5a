# shellcheck shell=dash
# Turns the tree that mmdebstrap has configured into a disk: $1/tmp/kiln/disk.qcow2.
#
# mmdebstrap runs this as its last hook, outside of the chroot, as root or as the root of a user namespace. So
# everything heavy happens at the host's speed, no loop device and no real root are needed, and the image is fetched by
# mmdebstrap itself afterwards. Settings arrive in the environment: KILN_SIZE, KILN_HOSTNAME, KILN_ROOT_PASSWORD,
# KILN_SSH_KEYS.
set -eu
root=$1
work=$root/tmp/kiln
disk=$work/disk.raw
mkdir -p "$work"
inside() { env -u TMPDIR DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
put() { mkdir -p "$root$(dirname "$1")" && cat >"$root$1"; }

fs_uuid=$(cat /proc/sys/kernel/random/uuid)
esp_id=$(head -c 8 /proc/sys/kernel/random/uuid | tr a-f A-F)
console="console=tty0 console=ttyS0,115200n8"

# --- who it is, and how it starts

echo "$KILN_HOSTNAME" | put /etc/hostname
put /etc/hosts <<END
127.0.0.1 localhost
127.0.1.1 $KILN_HOSTNAME
::1 localhost ip6-localhost ip6-loopback
END
put /etc/fstab <<END
UUID=$fs_uuid / ext4 errors=remount-ro 0 1
UUID=${esp_id%????}-${esp_id#????} /boot/efi vfat umask=0077,noauto 0 0
END
mkdir -p "$root/boot/efi"

# cloud-init writes its own network file when a seed asks for one; without a seed every wired card uses DHCP.
put /etc/systemd/network/90-wired.network <<END
[Match]
Name=en* eth*

[Network]
DHCP=yes
END
# A machine without a network must not wait two minutes for one.
put /etc/systemd/system/systemd-networkd-wait-online.service.d/kiln.conf <<END
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=10
END
inside systemctl -q enable systemd-networkd

# Only seeds on an attached drive are looked for: asking the network for others costs minutes where there are none.
# RSA host keys alone take 16 s of an emulated processor.
put /etc/cloud/cloud.cfg.d/90-kiln.cfg <<END
datasource_list: [NoCloud, None]
ssh_genkeytypes: [ed25519, ecdsa]
apt: { preserve_sources_list: true }
locale: false
END

if [ -n "${KILN_ROOT_PASSWORD-}" ]; then
  printf 'root:%s\n' "$KILN_ROOT_PASSWORD" | inside chpasswd
fi
if [ -n "${KILN_SSH_KEYS-}" ]; then
  printf '%s\n' "$KILN_SSH_KEYS" | put /root/.ssh/authorized_keys
  chmod 0700 "$root/root/.ssh"
  chmod 0600 "$root/root/.ssh/authorized_keys"
fi

# --- the boot loader, for both firmwares

put /etc/default/grub <<END
# Read by update-grub when a kernel is installed or removed.
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX="$console"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_OS_PROBER=true
END
# The kernel package keeps the links /vmlinuz and /initrd.img on its newest version.
put /boot/grub/grub.cfg <<END
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
set timeout=0
search --no-floppy --fs-uuid --set=root $fs_uuid
linux /vmlinuz root=UUID=$fs_uuid ro $console
initrd /initrd.img
boot
END
for target in i386-pc x86_64-efi; do
  mkdir -p "$root/boot/grub/$target"
  cp "$root/usr/lib/grub/$target"/*.mod "$root/usr/lib/grub/$target"/*.lst "$root/boot/grub/$target/"
done
printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\n' "$fs_uuid" >"$work/early.cfg"
image() { # target, output, modules of its own
  inside grub-mkimage -O "$1" -o "/tmp/kiln/$2" -c /tmp/kiln/early.cfg -p /boot/grub \
    part_gpt ext2 search search_fs_uuid normal configfile serial terminal linux echo test ${3-}
}
image i386-pc core.img biosdisk
image x86_64-efi bootx64.efi fat
cp "$root/usr/lib/grub/i386-pc/boot.img" "$work/"

printf 'update_initramfs=yes\nbackup_initramfs=no\n' | put /etc/initramfs-tools/update-initramfs.conf
inside update-initramfs -c -k all

# --- what belongs to this build and not to the machine

rm -rf "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$root"/var/lib/apt/lists/* \
  "$root"/var/cache/apt/* "$root"/etc/ssh/ssh_host_* "$root"/var/lib/dbus/machine-id
find "$root/var/log" -type f -delete
mkdir -p "$root/var/log/journal" "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"
: >"$root/etc/machine-id"
# mmdebstrap takes these two away only after this hook.
rm -f "$root/usr/sbin/policy-rc.d"
[ ! -e "$root/sbin/start-stop-daemon.REAL" ] || mv "$root/sbin/start-stop-daemon.REAL" "$root/sbin/start-stop-daemon"

# --- the disk: 1 MiB for GRUB's BIOS part, 64 MiB ESP, the rest is root, last so that it can grow

sector=512
bios_at=2048
esp_at=4096
esp_sectors=131072
root_at=$((esp_at + esp_sectors))
root_sectors=$((KILN_SIZE / sector - root_at - 2048)) # the second GPT takes the last 33
truncate -s "$KILN_SIZE" "$disk"
sfdisk -q "$disk" <<END
label: gpt
start=$bios_at, size=2048, name=bios, type=21686148-6449-6E6F-744E-656564454649
start=$esp_at, size=$esp_sectors, name=esp, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=$root_at, size=$root_sectors, name=root, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
END

truncate -s $((esp_sectors * sector)) "$work/esp"
mkfs.vfat -F 32 -s 1 -n ESP -i "$esp_id" "$work/esp" >/dev/null
mmd -i "$work/esp" ::/EFI ::/EFI/BOOT
mcopy -i "$work/esp" "$work/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
dd if="$work/esp" of="$disk" bs=1M seek=$((esp_at * sector / 1048576)) conv=notrunc,sparse status=none

# What grub-bios-setup does, without the block device it insists on: boot.img (GRUB's boot.S) holds the sector of
# core.img at 0x5c, and core.img's first sector (diskboot.S) the sector of its own rest at 0x1f4; both little-endian.
bytes() { dd of="$disk" bs=1 conv=notrunc status=none "$@"; }
bytes if="$work/boot.img" count=440
printf '\000\010\000\000\000\000\000\000' | bytes seek=$((0x5c)) # 2048
dd if="$work/core.img" of="$disk" bs=$sector seek=$bios_at conv=notrunc status=none
printf '\001\010\000\000\000\000\000\000' | bytes seek=$((bios_at * sector + 0x1f4)) # 2049

# A bind mount shows the tree without what is mounted in it: proc, sys, dev; a tmpfs hides our own folder.
mkdir "$work/view"
trap 'umount "$work/view/tmp" "$work/view" 2>/dev/null || true' EXIT
mount --bind "$root" "$work/view"
mount -t tmpfs -o mode=1777 tmpfs "$work/view/tmp"
# Features that GRUB 2.06 does not know are off, whatever this host's defaults are.
mke2fs -q -F -t ext4 -L root -U "$fs_uuid" -O ^metadata_csum_seed,^orphan_file \
  -E offset=$((root_at * sector)),assume_storage_prezeroed=1 -d "$work/view" \
  "$disk" $((root_sectors / 2))k
umount "$work/view/tmp" "$work/view"
trap - EXIT

qemu-img convert -f raw -O qcow2 "$disk" "$work/disk.qcow2"
rm "$disk"
