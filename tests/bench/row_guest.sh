#!/bin/bash
# Two stages that edit the guest, against virt-customize and then virt-sysprep doing the same. GUEST_DISK: the qcow2 of a
# Debian guest to edit; without it one is made by kiln's bootstrap stage, which takes minutes and needs Debian's packages.
# Both sides emulate the processor, work on an overlay of the same disk, and have no network in the guest.

export KILN_HOME=$WORK/home
mkdir -p "$WORK/home"
disk=${GUEST_DISK:-}
if [ -z "$disk" ]; then
  disk=$WORK/debian.qcow2
  cat >"$WORK/make.toml" <<END
[pipeline]
name = "bench-guest"
[[stage]]
use  = "bootstrap"
size = "3G"
[[stage]]
use    = "write"
format = "qcow2"
file   = "$disk"
END
  "$BIN/kiln" build "$WORK/make.toml" >"$WORK/make.out" 2>&1 || { tail -20 "$WORK/make.out" >&2; exit 1; }
fi

echo uploaded >"$WORK/upload.txt"
ssh-keygen -q -t ed25519 -N '' -C bench -f "$WORK/key"
mkdir "$WORK/tree" && for i in 1 2 3 4 5; do echo "$i" >"$WORK/tree/$i"; done

# round: a word that changes, so that the stages have to run again while the import stays cached.
cat >"$WORK/edit.toml" <<END
[pipeline]
name = "bench-edit"
[vars]
round = ""
[[stage]]
use    = "import"
file   = "$disk"
format = "qcow2"
[[stage]]
use       = "customize"
hostname  = "web"
timezone  = "Europe/Berlin"
passwords = [{ user = "root", password = "bench" }]
users     = [{ name = "root", ssh_key_files = ["$WORK/key.pub"] }]
mkdir     = ["/srv/www/deep"]
copy_in   = [{ source = "$WORK/tree", to = "/srv" }]
files     = [
  { path = "/srv/www/index.html", content = "hello \${round}" },
  { path = "/srv/www/upload.txt", source = "$WORK/upload.txt" },
]
link      = [{ path = "/srv/current", target = "www" }]
chmod     = [{ path = "/srv/www/index.html", mode = "0640" }]
run       = ["systemctl enable systemd-timesyncd || true", "useradd -m extra"]
delete    = ["/etc/motd"]
[[stage]]
use = "sysprep"
END

turn=0
edit() { "$BIN/kiln" build "$WORK/edit.toml" --set "round=$turn"; }
run_kiln() {
  turn=$((turn + 1))
  measure kiln "$BIN/kiln" build "$WORK/edit.toml" --set "round=$turn"
}

export LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg
run_virt() {
  rm -f "$WORK/virt.qcow2"
  qemu-img create -q -f qcow2 -F qcow2 -b "$(realpath "$disk")" "$WORK/virt.qcow2"
  # shellcheck disable=SC2016
  measure virt sh -c 'virt-customize --quiet --no-network --format qcow2 -a "$1/virt.qcow2" \
      --hostname web --timezone Europe/Berlin --root-password password:bench --ssh-inject "root:file:$1/key.pub" \
      --mkdir /srv/www/deep --copy-in "$1/tree:/srv" --write "/srv/www/index.html:hello" \
      --upload "$1/upload.txt:/srv/www/upload.txt" --link www:/srv/current --chmod 0640:/srv/www/index.html \
      --run-command "systemctl enable systemd-timesyncd || true" --run-command "useradd -m extra" --delete /etc/motd &&
    virt-sysprep --quiet --no-network --format qcow2 -a "$1/virt.qcow2" --operations defaults,-ssh-userdir' - "$WORK"
}

edit >/dev/null # imports the disk, once
in_turn kiln virt

row "customize + sysprep; virt-customize + virt-sysprep" "$(median kiln)" "$(median virt)" 1.6 ""
rm -f "$WORK/virt.qcow2"
