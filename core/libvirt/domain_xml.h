#pragma once
// A machine as libvirt's domain XML (libvirt.org/formatdomain.html, of libvirt 9.0), as a pure function.

#include <string>

#include "machine/hardware.h"

namespace kiln {

/// The namespace of what kiln notes in <metadata>.
inline constexpr char metadata_namespace[] = "urn:kiln:instance:1";

/// One x86-64 machine. Paths are the host's.
struct DomainSpec {
  std::string name;  ///< the domain's, unique on its host
  std::string uuid;
  std::string accelerator;        ///< "kvm" or "tcg": libvirt's own opinion is not asked
  Hardware hardware;              ///< memory is rounded up to whole MiB; neither "secure" firmware, nor nvme, nor a tap
  std::string mac;                ///< empty: libvirt's choice
  std::string disk;               ///< the overlay, qcow2
  std::string base, base_format;  ///< what it lies on
  std::string seed;               ///< NoCloud, raw
  std::string serial_log;         ///< all that the guest writes to ttyS0 is added to it

  /// What an administrator of the host reads there.
  struct Origin {
    std::string instance, image, image_id, home, account;
  } origin;
};

/// Every layer of the disk names its format, so that neither libvirt nor QEMU probes what a guest may have written.
std::string domain_xml(const DomainSpec&);

/// Volumes of a pool (libvirt.org/formatstorage.html).
struct VolumeSpec {
  std::string name;
  std::string format;          ///< "raw" or "qcow2"
  std::uint64_t capacity = 0;  ///< bytes that the guest sees
  std::string base = {};       ///< the path that an overlay lies on; empty: it is none
  std::string base_format = {};
};
std::string volume_xml(const VolumeSpec&);
/// A pool that is a folder.
std::string pool_xml(const std::string& name, const std::string& folder);

}  // namespace kiln
