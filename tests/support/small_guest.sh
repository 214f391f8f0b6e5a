#!/bin/sh
# small_guest.sh OUT: a qcow2 of 128 MiB with a Linux that boots in seconds on a BIOS: GRUB, the host's kernel, an ext4
# root with busybox and qemu-guest-agent. On ttyS0 it writes KILN-GUEST-READY, and then is a root shell.
#
#   /etc/kiln-host       its host name, when there is such a file
#   /etc/start           a program that it starts last, when there is one
#   /etc/qemu/fsfreeze-hook  what the agent runs around a freeze; says in /var/log/fsfreeze what it was called with
#   ACPI power button    powers off
# The second disk, when there is one, is mounted on /data when it holds ext4.
# Packages: linux-image-amd64 kmod busybox-static cpio grub-common grub-pc-bin e2fsprogs fdisk qemu-utils
#           qemu-guest-agent
set -eu
out=$1
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(cd /lib/modules && for v in *; do if [ -r "/boot/vmlinuz-$v" ]; then echo "$v"; fi; done | sort -V | tail -1)
[ -n "$version" ] || { echo "no readable /boot/vmlinuz-* with modules" >&2; exit 1; }
modules="virtio_pci virtio_blk virtio_console virtio_net ext4 button evdev"

# --- what loads the drivers and mounts the root
mkdir -p "$work/early/bin" "$work/early/lib" "$work/early/new" "$work/early/proc" "$work/early/dev"
cp /bin/busybox "$work/early/bin/"
for module in $modules; do
  modprobe -S "$version" --show-depends "$module" 2>/dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/order"
n=100
while read -r file; do
  n=$((n + 1))
  cp "$file" "$work/early/lib/$n-$(basename "$file")"
done <"$work/order"
cat >"$work/early/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in /lib/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 -o rw /dev/vda1 /new
/bin/busybox mount --move /dev /new/dev
/bin/busybox mount --move /proc /new/proc
exec /bin/busybox switch_root /new /sbin/init
INIT
chmod 0755 "$work/early/init"
(cd "$work/early" && find . | cpio -o -H newc --quiet) | gzip -1 >"$work/initrd"

# --- the root
root=$work/root
mkdir -p "$root/boot/grub" "$root/bin" "$root/sbin" "$root/etc/qemu" "$root/proc" "$root/sys" "$root/dev" "$root/run" \
  "$root/tmp" "$root/var/log" "$root/var/run" "$root/root" "$root/data" "$root/usr/sbin" "$root/usr/bin" "$root/srv" \
  "$root/usr/share/udhcpc" "$root/lib" "$root/home"
cp "/boot/vmlinuz-$version" "$root/boot/vmlinuz"
cp "$work/initrd" "$root/boot/initrd"
cp /bin/busybox "$root/bin/"
for applet in $(/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
agent=$(command -v qemu-ga)
for file in "$agent" $(ldd "$agent" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'); do
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done
cat >"$root/sbin/init" <<'INIT'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t sysfs sys /sys
mount -t tmpfs run /run
hostname "$(cat /etc/hostname)"
ip link set lo up
ip link set eth0 up 2>/dev/null && udhcpc -i eth0 -b -q -S -s /usr/share/udhcpc/default.script >/dev/null 2>&1 &
[ -b /dev/vdb ] && mount -t ext4 /dev/vdb /data 2>/dev/null
for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name")" = org.qemu.guest_agent.0 ] || continue
  qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run -F/etc/qemu/fsfreeze-hook >/run/agent.log 2>&1 </dev/null &
done
acpid -c /etc/acpi -l /dev/null -d >/dev/null 2>&1 </dev/null &
[ -x /etc/start ] && /etc/start >/dev/console 2>&1 </dev/null &
echo KILN-GUEST-READY
exec setsid sh -c 'exec sh -i </dev/ttyS0 >/dev/ttyS0 2>&1'
INIT
cat >"$root/etc/qemu/fsfreeze-hook" <<'HOOK'
#!/bin/sh
# A thaw may come while nothing can be written yet.
[ "$1" = thaw ] || echo "$1" >>/var/log/fsfreeze
HOOK
cat >"$root/sbin/shutdown" <<'SHUTDOWN'
#!/bin/sh
case "$*" in *-r*) reboot -f ;; *) sync; poweroff -f ;; esac
SHUTDOWN
cat >"$root/usr/share/udhcpc/default.script" <<'DHCP'
#!/bin/sh
case $1 in bound | renew)
  ip addr replace "$ip/${mask:-24}" dev "$interface"
  ip route replace default via "$router" ;;
esac
DHCP
mkdir -p "$root/etc/acpi/PWRF" "$root/etc/ssh"
printf '#!/bin/sh\nsync\npoweroff -f\n' >"$root/etc/acpi/PWRF/00000080"
chmod 0755 "$root/sbin/init" "$root/sbin/shutdown" "$root/etc/qemu/fsfreeze-hook" "$root/usr/share/udhcpc/default.script" \
  "$root/etc/acpi/PWRF/00000080"
echo small >"$root/etc/hostname"
echo 127.0.0.1 localhost >"$root/etc/hosts"
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
echo root:x:0: >"$root/etc/group"
: >"$root/etc/machine-id"
printf 'ID=kiln-small\nNAME="kiln small"\nVERSION_ID=1\nPRETTY_NAME="kiln small guest"\n' >"$root/etc/os-release"
printf '/dev/vda1 / ext4 defaults 0 1\n' >"$root/etc/fstab"

# --- the disk: GRUB before the first partition, which is the root
printf 'serial --unit=0\nterminal_output serial\nset timeout=0\nlinux (hd0,msdos1)/boot/vmlinuz console=ttyS0 quiet panic=-1 nokaslr no5lvl mitigations=off\ninitrd (hd0,msdos1)/boot/initrd\nboot\n' >"$root/boot/grub/grub.cfg"
grub-mkimage -O i386-pc -o "$work/core.img" -p '(hd0,msdos1)/boot/grub' biosdisk part_msdos ext2 linux normal serial terminal boot
truncate -s 127M "$work/part"
mke2fs -q -t ext4 -O ^metadata_csum -U random -E root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0 -d "$root" "$work/part"
truncate -s 128M "$work/disk"
echo 'start=2048, type=83, bootable' | sfdisk -q "$work/disk"
dd if="$work/part" of="$work/disk" bs=1M seek=1 conv=notrunc,sparse status=none
dd if=/usr/lib/grub/i386-pc/boot.img of="$work/disk" bs=1 count=440 conv=notrunc status=none
dd if="$work/core.img" of="$work/disk" bs=512 seek=1 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 "$work/disk" "$work/image.qcow2"
mv "$work/image.qcow2" "$out"
