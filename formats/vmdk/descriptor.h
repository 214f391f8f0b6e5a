#pragma once
// The text that says what a disk consists of. Source: VMware, "Virtual Disk Format 5.0" (2011), "The Descriptor File".
//
// Other programs search it for words or scan it across lines, and so find extents and settings that are none. Here a
// line is understood as a whole, or the descriptor is refused.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/file.h>
#include <kiln/finding.h>

namespace kiln::vmdk {

/// "Extent Description": what one line names.
struct ExtentLine {
  enum class Kind : std::uint8_t { zero, flat, sparse };
  Kind kind = Kind::zero;
  std::string type;           ///< as it is written: "VMFSSPARSE"
  std::uint64_t sectors = 0;  ///< of the disk
  std::string name;           ///< plain, see check_plain(); empty for zeros
  std::uint64_t offset = 0;   ///< flat: the first sector in the file
  unsigned line = 0;          ///< from 1
};

struct Descriptor {
  std::string create_type;
  std::string adapter;  ///< "ddb.adapterType"; may be empty
  std::vector<ExtentLine> extents;
};

/// Whether the file begins as a descriptor, blanks and the case of letters aside.
bool is_descriptor(std::span<const std::byte> head);

/// Understands the text of `file`. `embedded`: it lies in a sparse extent, and its only extent is that file, whatever
/// the name says (files are renamed). Throws refused(): a parent, encryption, extents that are not plain files beside
/// the descriptor, types that are not read; Error: lines that are not understood.
Descriptor parse(const File&, std::string_view text, bool embedded);

/// The names of types, as Descriptor::create_type, that are one file with its descriptor inside.
bool is_monolithic(std::string_view create_type);

}  // namespace kiln::vmdk
