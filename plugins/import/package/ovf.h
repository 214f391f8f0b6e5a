#pragma once
// OVF descriptors (DMTF DSP0243, 1.0 to 2.1) in the manner of any vendor: which files are the machine's disks, in which
// order, and how the machine was equipped.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <kiln/file.h>
#include <kiln/format.h>

namespace kiln::import {

/// A file of the package, as References name it (DSP0243 2.1.1, 7.1).
struct OvfFile {
  std::string id;
  std::string href;                   ///< is_plain_name()
  std::optional<std::uint64_t> size;  ///< in bytes, when it is said
  bool gzip = false;                  ///< its content is compressed (7.1, @ovf:compression)
};

/// A disk of the machine (DSP0243 2.1.1, 9.1).
struct OvfDisk {
  std::string id;
  std::optional<OvfFile> file;  ///< none: the disk is empty
  std::uint64_t capacity = 0;   ///< in bytes; 0 when it is not said
  std::uint64_t unit = 1;       ///< what capacity is counted in: it may be rounded to that
  std::string format;           ///< kiln's name for the format that it is said to have; empty when kiln knows none
};

struct Ovf {
  std::vector<OvfFile> files;  ///< every one that References name
  std::vector<OvfDisk> disks;  ///< the system disk first, then in the order of controllers and addresses; never empty
  Facts facts;                 ///< "machine.*", "boot.firmware", and "origin.*": what it says of itself
  std::vector<Finding> findings;
  bool ovirt = false;  ///< oVirt says sizes of files that are rounded
};

/// Throws Error: code::damaged for what is no OVF or contradicts itself, code::archive for a document type
/// declaration, code::external_extent for a file that is not of the package, code::unsupported (several machines,
/// chunks, capacities that are variables), code::parent_needed.
Ovf parse_ovf(const File&);

/// Whether a file begins as an XML document: an .ovf, whatever it is called.
bool is_xml(const File&);

}  // namespace kiln::import
