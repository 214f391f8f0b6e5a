#pragma once
// The appliance's machine in a sandbox: libguestfs starts a program of ours in QEMU's place, which starts QEMU.

#include <cstdint>
#include <filesystem>
#include <vector>

namespace kiln {

/// What the appliance's QEMU may have of the host, besides /usr.
struct HvOptions {
  std::vector<std::filesystem::path> readable;  ///< the appliance's files and the sockets of the disks
  std::filesystem::path writable;               ///< a folder for QEMU's own sockets
  bool kvm = false;
  unsigned memory_mib = 0;  ///< of the guest
};

/// Writes the program, a script, to `file`: guestfs_set_hv() takes it. `qemu`: the full path of QEMU. The script adds
/// the folder of libguestfs' own socket, which is not known before. Throws refused() where there is no sandbox.
void write_hv(const std::filesystem::path& file, const std::filesystem::path& qemu, const HvOptions&);

}  // namespace kiln
