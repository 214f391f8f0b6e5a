#pragma once
// What a domain is made of, as its XML says (libvirt.org/formatdomain.html, of libvirt 9.0): a pure function.

#include <filesystem>
#include <string>
#include <vector>

#include <kiln/context.h>

namespace kiln {

/// A disk that the guest can write to.
struct DomainDisk {
  std::string target;  ///< "vda"
  std::string bus;     ///< as kiln calls it, else as libvirt does
  std::string format;  ///< of its topmost layer, as kiln calls it
  /// The disk's file or block device and what it lies on, with their formats, as far as the XML tells: of a domain that
  /// is shut off often only the first. Empty: it is neither.
  std::vector<DiskFile> layers;
  bool is_file = false;  ///< a regular file of the host's
};

struct DomainView {
  std::string name, uuid;
  Facts facts;                         ///< "machine.*", "boot.firmware"
  std::vector<DomainDisk> disks;       ///< in the machine's order
  std::vector<std::string> untouched;  ///< the targets of its other drives
  std::filesystem::path vars;          ///< the firmware's variables, a raw file; empty: it has none
  bool has_agent = false;              ///< a channel to one
};

/// Throws Error when that is no domain's XML.
DomainView view_of(const std::string& xml);

}  // namespace kiln
