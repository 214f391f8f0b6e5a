#pragma once
// The machine that an OVA describes: what the user says, else what is known of the image, else what every hypervisor
// can start.

#include <cstdint>
#include <string>

#include <kiln/format.h>
#include <kiln/value.h>

namespace kiln::ova {

struct Options {
  std::string name;
  std::int64_t cpus = 0;
  Bytes memory{0};
  std::string firmware = "image", controller = "sata", nic = "e1000", os;
  std::int64_t level = 0;
};

struct Machine {
  std::string name;  ///< of the machine, and what the members' names begin with: letters, digits, "-", "_" and "."
  unsigned cpus = 2;
  std::uint64_t memory = 2048;  ///< MiB, in fours: VMware starts no other
  bool uefi = false, secure = false;
  bool sata = true;  ///< an AHCI controller; else LSI Logic SCSI
  std::string nic;   ///< as VMware calls them: "E1000"
  std::string os;    ///< for people; may be empty
};

/// `known` of the image: what makes no sense of it is passed over, because it may come from outside. Options that make
/// none: throws invalid().
Machine machine_of(const Options&, const Facts& known);

}  // namespace kiln::ova
