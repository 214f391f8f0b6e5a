#pragma once
// OVF 1.0 descriptors. Sources: DMTF DSP0243 1.1.1; the CIM schema (CIM_ResourceAllocationSettingData,
// CIM_OperatingSystem.OSType); VMware's and VirtualBox's own exports for the names of devices.

#include <cstdint>
#include <string>

#include "machine.h"

namespace kiln::ova {

/// The disk's file within the package.
struct DiskMember {
  std::string name;
  std::uint64_t size = 0;      ///< of the file
  std::uint64_t capacity = 0;  ///< of the disk
};

/// The descriptor of that machine with that disk, as XML in UTF-8.
std::string envelope(const Machine&, const DiskMember&);

}  // namespace kiln::ova
