#pragma once
// OVF 1.0 descriptors. Sources: DMTF DSP0243 1.1.1; the CIM schema (CIM_ResourceAllocationSettingData,
// CIM_OperatingSystem.OSType); VMware's and VirtualBox's own exports for the names of devices.

#include <cstdint>
#include <string>
#include <vector>

#include "machine.h"

namespace kiln::ova {

/// A disk's file within the package.
struct DiskMember {
  std::string name;
  std::uint64_t size = 0;      ///< of the file
  std::uint64_t capacity = 0;  ///< of the disk
};

/// The most disks that one controller takes: SATA 30, SCSI 15, as in VMware's products.
std::size_t most_disks(const Machine&);

/// The descriptor of that machine with those disks, in the order of its controller, as XML in UTF-8.
std::string envelope(const Machine&, const std::vector<DiskMember>&);

}  // namespace kiln::ova
