#pragma once
// What a machine is made of, and the words for it: in records, on the command line, in an image's facts.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <kiln/context.h>
#include <kiln/format.h>
#include <kiln/machine.h>

namespace kiln {

enum class DiskBus { virtio, scsi, sata, nvme };
enum class Nic { virtio, e1000, e1000e, rtl8139, none };

/// A disk of the guest's beside its system disk.
struct DataDisk {
  DiskFile base;           ///< what its overlay lies on, read-only. Empty: nothing
  std::uint64_t size = 0;  ///< bytes that the guest sees
};

/// One x86-64 machine's parts.
struct Hardware {
  Firmware firmware = Firmware::bios;
  Bytes memory{1u << 30};
  unsigned cpus = 2;
  DiskBus disk_bus = DiskBus::virtio;
  Nic nic = Nic::virtio;
  std::string tap = {};   ///< the host's device that the network card leads to; empty: QEMU's own user-mode network
  bool isolated = false;  ///< of that network the guest gets an address, and reaches nothing
};

std::string_view to_text(Firmware);
std::string_view to_text(DiskBus);
std::string_view to_text(Nic);
/// "user", "isolated", "tap=NAME".
std::string network_text(const Hardware&);

/// These throw invalid() that lists what there is.
Firmware firmware_from(std::string_view);
DiskBus disk_bus_from(std::string_view);
Nic nic_from(std::string_view);

/// Throws refused() when a bus has not the room for that many data disks.
void require_bus_for(DiskBus, std::size_t data_disks);

/// What the launch says, else the image's facts "machine.memory", "machine.cpus", "machine.disk_bus", "machine.nic" and
/// "boot.firmware", else the defaults above. A fact that makes no sense is passed over: facts may come from outside.
Hardware hardware_for(const LaunchSpec&, const Facts& image);

}  // namespace kiln
