#pragma once
// QEMU's command line, as a pure function of what a machine is.
//
// QEMU is started inside the machine's folder, and every file of its own is named relative to it: no path of a home
// ever meets QEMU's option syntax (commas) or the 107 bytes of a unix socket's name.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "machine/hardware.h"

namespace kiln {

/// The names in a machine's folder.
namespace machine_file {
inline constexpr char disk[] = "disk.qcow2";        ///< the overlay that the guest writes to; see disk_file()
inline constexpr char seed[] = "seed.iso";          ///< NoCloud
inline constexpr char vars[] = "vars.fd";           ///< OVMF's variables, this machine's own
inline constexpr char serial_log[] = "serial.log";  ///< all that the guest ever wrote to ttyS0
inline constexpr char console[] = "console.sock";   ///< ttyS0, both ways, for one client at a time
inline constexpr char qmp[] = "qmp.sock";
inline constexpr char memory[] = "memory.qcow2";      ///< what the machine is to go on from; gone when it does
inline constexpr char memory_lock[] = "memory.lock";  ///< held while QEMU saves memory, and hears nobody
inline constexpr char tpm[] = "tpm.sock";             ///< swtpm's, beside the folder of its state
inline constexpr char tpm_state[] = "tpm";
inline constexpr char capture[] = "capture.sock";   ///< another monitor, for as long as a capture lasts
inline constexpr char fleece[] = "fleece.sock";     ///< where QEMU serves what is captured
inline constexpr char agent[] = "agent.sock";       ///< virtio port org.qemu.guest_agent.0
inline constexpr char qemu_log[] = "qemu.log";      ///< QEMU's own stdout and stderr
inline constexpr char agent_lock[] = "agent.lock";  ///< who talks to the agent
inline constexpr char agent_seen[] = "agent.seen";  ///< the agent answered in this run
inline constexpr char screen[] = "screen.png";      ///< written by QEMU on request
inline constexpr char screen_lock[] = "screen.lock";
inline constexpr char known_hosts[] = "known_hosts";  ///< the guest's ssh host keys
inline constexpr char ended[] = "ended.json";         ///< how QEMU ended, see ending.h
}  // namespace machine_file

/// The overlay of the guest's disk number `disk`: 0 is the system disk, the data disks follow.
std::string disk_file(std::size_t disk);
/// Its node in QEMU, and its device.
std::string disk_node_name(std::size_t disk);
std::string disk_device_name(std::size_t disk);

/// One x86-64 machine.
struct MachineSpec {
  std::string name;             ///< shown in the process list; letters, digits and '-'
  std::string accelerator;      ///< exactly one: QEMU's "kvm:tcg" does not fall back when KVM hangs
  Hardware hardware;            ///< memory is rounded up to whole MiB
  std::string uuid = {};        ///< the machine's identity, for its guest; empty: QEMU's default
  std::string mac = {};         ///< of its network card; empty: QEMU's default, the same for all
  DiskFile base;                ///< what the overlay lies on; opened read-only. Empty: nothing
  std::uint64_t disk_size = 0;  ///< bytes that the guest sees; the base's or more
  std::vector<DataDisk> data = {};
  bool seed = false;        ///< attach seed.iso
  bool throw_away = false;  ///< the overlay need not survive: no flushes
  bool screen = false;      ///< a VGA card, for screenshots: nobody sees it
  /// Not empty: the machine waits for a memory to go on from (memory_state.h), on the board of that name and version.
  std::string resumes_on = {};
  std::vector<PortForward> ports;
};

/// Everything after the program's name.
std::vector<std::string> qemu_arguments(const MachineSpec&);

/// A disk as QEMU's -blockdev takes it: the overlay and what it lies on, each with its format.
std::string disk_node(const MachineSpec&, std::size_t disk = 0);
/// The read-only half of OVMF.
std::filesystem::path ovmf_code(Firmware);
/// The program that is the machine's TPM, run inside its folder; nothing for a machine without one. It ends when QEMU
/// does.
std::optional<Command> tpm_command(const MachineSpec&);
/// Makes the disks' overlays and, for UEFI, vars.fd in `folder`: with `vars`, or as a machine has them that never ran.
/// Error when OVMF is not installed, or its flash chip has another size than `vars`.
void prepare_folder(const std::filesystem::path& folder, const MachineSpec&, std::span<const std::byte> vars = {});

}  // namespace kiln
