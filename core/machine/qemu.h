#pragma once
// QEMU's command line, as a pure function of what a machine is.
//
// QEMU is started inside the machine's folder, and every file of its own is named relative to it: no path of a home
// ever meets QEMU's option syntax (commas) or the 107 bytes of a unix socket's name.

#include <filesystem>
#include <string>
#include <vector>

#include <kiln/context.h>

namespace kiln {

/// The names in a machine's folder.
namespace machine_file {
inline constexpr char disk[] = "disk.qcow2";        ///< the overlay that the guest writes to
inline constexpr char seed[] = "seed.iso";          ///< NoCloud
inline constexpr char vars[] = "vars.fd";           ///< OVMF's variables, this machine's own
inline constexpr char serial_log[] = "serial.log";  ///< all that the guest ever wrote to ttyS0
inline constexpr char console[] = "console.sock";   ///< ttyS0, both ways, for one client at a time
inline constexpr char qmp[] = "qmp.sock";
inline constexpr char agent[] = "agent.sock";   ///< virtio port org.qemu.guest_agent.0
inline constexpr char qemu_log[] = "qemu.log";  ///< QEMU's own stdout and stderr
}  // namespace machine_file

/// One x86-64 machine.
struct MachineSpec {
  std::string name;         ///< shown in the process list; letters, digits and '-'
  std::string accelerator;  ///< exactly one: QEMU's "kvm:tcg" does not fall back when KVM hangs
  Firmware firmware = Firmware::bios;
  Bytes memory{1u << 30};  ///< rounded up to whole MiB
  unsigned cpus = 2;
  DiskFile base;            ///< what the overlay lies on; opened read-only
  bool seed = false;        ///< attach seed.iso
  bool throw_away = false;  ///< the overlay need not survive: no flushes
  bool isolated = false;    ///< the guest gets DHCP, and reaches nothing
  std::vector<PortForward> ports;
};

/// Everything after the program's name.
std::vector<std::string> qemu_arguments(const MachineSpec&);

/// The read-only half of OVMF.
std::filesystem::path ovmf_code();
/// Makes disk.qcow2 and, for UEFI, vars.fd in `folder`. Error when OVMF is not installed, or the base cannot be read.
void prepare_folder(const std::filesystem::path& folder, const MachineSpec&);

}  // namespace kiln
