#!/bin/sh
# tiny_image.sh OUT MODE: a qcow2 of 2 MB that GRUB boots on BIOS and UEFI, and that writes KILN-BOOT-OK to ttyS0.
#   halt  then powers the machine off        stay  then writes "tick" every second
# Packages: grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools qemu-utils
set -eu
out=$1 mode=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/boot/grub"
{
  echo 'serial --unit=0 --speed=115200'
  echo 'terminal_output serial'
  echo 'echo KILN-BOOT-OK'
  case $mode in
    halt) echo 'halt' ;;
    stay) echo 'while true; do sleep 1; echo tick; done' ;;
  esac
} >"$work/root/boot/grub/grub.cfg"
grub-mkrescue -o "$work/image.iso" "$work/root" --locales= --themes= --fonts= \
  --install-modules="serial echo halt sleep test true terminal normal configfile iso9660 part_msdos part_gpt fat search" \
  >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
qemu-img convert -f raw -O qcow2 "$work/image.iso" "$work/image.qcow2"
mv "$work/image.qcow2" "$out"
