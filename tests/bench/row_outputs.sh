#!/bin/bash
# One read, four outputs, against the four made one after the other; and how much of the source is read for that. Then an
# OVA of two disks: what importing it writes, beside what the store holds of it in the end.

"$BIN/bench_disk" "$WORK/disk.raw" 2048 460 >/dev/null
cat "$WORK/disk.raw" >/dev/null
export KILN_HOME=$WORK/home

cat >"$WORK/outputs.toml" <<TOML
[[stage]]
use    = "import"
file   = "disk.raw"
format = "raw"

[[stage]]
use     = "write"
file    = "kiln.qcow2"
durable = false
options = { compression = "zstd" }

[[stage]]
use     = "write"
file    = "kiln.vmdk"
durable = false
options = { subformat = "streamOptimized" }

[[stage]]
use     = "write"
file    = "kiln.vhd"
durable = false
options = { subformat = "dynamic" }

[[stage]]
use = "checksum"
TOML
prepare() { rm -rf "$WORK"/kiln.* "$WORK"/they.* "${WORK:?}/home"; }
run_kiln() { measure outputs "$BIN/kiln" build "$WORK/outputs.toml"; }
# shellcheck disable=SC2016
run_they() {
  measure apart sh -c '
    qemu-img convert -c -W -m 16 -f raw -O qcow2 -o compression_type=zstd "$1" "$2.qcow2" &&
    qemu-img convert -c -W -m 16 -f raw -O vmdk -o subformat=streamOptimized "$1" "$2.vmdk" &&
    qemu-img convert -W -m 16 -f raw -O vpc -o subformat=dynamic,force_size=on "$1" "$2.vhd" && sha256sum "$1"' - \
    "$WORK/disk.raw" "$WORK/they"
}
in_turn kiln they
prepare
unset -f prepare
run_kiln # speed counts only for the right bytes
for output in qcow2:qcow2 vmdk:vmdk vhd:vpc; do
  qemu-img compare -q -f raw -F "${output#*:}" "$WORK/disk.raw" "$WORK/kiln.${output%:*}"
done
row "one read, four outputs; the four with qemu-img" "$(median outputs)" "$(median apart)" "<=0.5" "$(peak outputs)"
allocated=$(($(stat -c '%b * %B' "$WORK/disk.raw")))
row_size "bytes read for that; allocated in the source" "$(tail -1 "$WORK/outputs.read")" "$allocated" 1.02
rm -rf "$WORK"/kiln.* "$WORK"/they.* "${WORK:?}/home"

# --- an OVA of two disks
"$BIN/bench_disk" "$WORK/second.raw" 1024 120 9 >/dev/null
mkdir "$WORK/package"
references='' disks='' items=''
for n in 1 2; do
  raw=$WORK/disk.raw
  [ $n = 1 ] || raw=$WORK/second.raw
  qemu-img convert -W -m 16 -f raw -O vmdk -o subformat=streamOptimized "$raw" "$WORK/package/web-disk$n.vmdk"
  references+="<File ovf:id=\"f$n\" ovf:href=\"web-disk$n.vmdk\"/>"
  disks+="<Disk ovf:diskId=\"d$n\" ovf:fileRef=\"f$n\" ovf:capacity=\"$(stat -c %s "$raw")\"/>"
  items+="<Item><rasd:AddressOnParent>$n</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d$n</rasd:HostResource>"
  items+="<rasd:InstanceID>$n</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>"
done
cat >"$WORK/package/web.ovf" <<OVF
<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References>$references</References><DiskSection><Info>Disks</Info>$disks</DiskSection>
<VirtualSystem ovf:id="web"><Info>A machine</Info><VirtualHardwareSection><Info>Hardware</Info>$items</VirtualHardwareSection>
</VirtualSystem></Envelope>
OVF
(cd "$WORK/package" && for file in web.ovf web-disk*.vmdk; do
  echo "SHA256($file)= $(sha256sum "$file" | cut -d' ' -f1)"
done >web.mf && tar --format=ustar -cf "$WORK/web.ova" web.ovf web.mf web-disk1.vmdk web-disk2.vmdk)
rm -rf "$WORK/package" "$WORK"/*.raw
measure ova "$BIN/kiln" import "$WORK/web.ova" --name web
row_size "written by importing an OVA of two disks; the store" "$(tail -1 "$WORK/ova.written")" \
  "$(bytes_in "$WORK/home/catalog/packs")" 1.05
unset KILN_HOME
rm -rf "${WORK:?}/home" "$WORK/web.ova"
