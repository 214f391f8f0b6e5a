#pragma once
// The hardware of a machine as an OVF has it: items by CIM's resource types (DSP1041, DSP0243 2.1.1, 8.3).

#include <string>
#include <vector>

#include <kiln/file.h>
#include <kiln/format.h>

#include "package/xml.h"

namespace kiln::import {

struct Hardware {
  std::vector<std::string> disks;  ///< the host resources of the disks, in the order of controllers and addresses
  Facts facts;                     ///< "machine.cpus", "machine.memory", "machine.nic", "machine.disk_bus"
  std::vector<Finding> findings;
};

/// Of a VirtualHardwareSection. `configuration`: the default one of a DeploymentOptionSection, when there are several.
/// `file` names the OVF in errors.
Hardware hardware_of(pugi::xml_node section, const std::string& configuration, const File& file);

/// "bios", "uefi" or "secure"; empty when nothing says so. VMware, VirtualBox and oVirt say it each in its own place.
std::string firmware_of(pugi::xml_node system);

}  // namespace kiln::import
