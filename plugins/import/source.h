#pragma once
// What a file from anywhere turns out to be: a disk, or a package of several, perhaps compressed.

#include <memory>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "steady.h"
#include "unpack/unpack.h"

namespace kiln::import {

struct SourceDisk {
  std::string name;  ///< of the file that holds it
  Inspection found;
  std::shared_ptr<const BlockReader> disk;  ///< checks the guard of its file
};

struct Source {
  std::string kind;               ///< "ova", "ovf", "tar", else the format's name
  std::vector<SourceDisk> disks;  ///< the system disk first, never empty
  Facts facts;                    ///< "machine.*", "boot.firmware", "origin.*", "source.compression"
};

/// Unpacks what is compressed, verifies the manifest of a package, and opens every disk. Findings go to the context.
/// `format`: empty to recognise it; it is the disk's, not that of what it is packed in.
/// Throws Error with a code of <kiln/finding.h>.
Source open_source(Context&, Input, const std::string& format, const UnpackLimits&);

/// "qcow2 v3, vmdk streamOptimized": of the disks, in their order.
std::string kinds_of_disks(const Source&);

/// "vhd dynamic, 20.0 GiB", "ova, 2 disks (vmdk, vmdk), 60.0 GiB"
std::string describe(const Source&);

/// What else decides the content, besides the file's own identity: the files beside an OVF, and `run` where there are
/// or may be further disks. Those are parts, which last as long as a run does and are not kept with layers. Empty for
/// everything else, and for what cannot be read: a run says why.
std::string fingerprint_within(const std::filesystem::path&, const std::string& run);

}  // namespace kiln::import
