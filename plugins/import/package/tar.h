#pragma once
// A tar as an OVA is one: plain files after each other, stored as they are. Nothing is unpacked.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/file.h>

#include "package/tar_holes.h"

namespace kiln::import {

/// A file in the archive: its bytes are a run of the archive's, or several with holes between them.
struct Member {
  std::string name;  ///< is_plain_name()
  std::uint64_t offset = 0, size = 0;
  std::optional<std::uint64_t> stored = {};  ///< it has holes: bytes of it that are in the archive,
  std::vector<TarRun> runs = {};             ///< and where they belong
};

/// Whether it begins as a tar of POSIX or GNU does ("ustar" at byte 257, POSIX.1-2017, pax, "ustar Interchange
/// Format").
bool is_tar(const File&);

/// The members in their order. Reads headers only.
/// Throws Error with code::truncated, code::damaged or code::archive: for links, devices, folders, names that are
/// paths, the same name twice, more than 1000 members, and anything after the archive's end.
std::vector<Member> members_of_tar(const File&);

/// A name that leads nowhere: no folder in it, no control character, at most 255 bytes.
bool is_plain_name(std::string_view);

}  // namespace kiln::import
