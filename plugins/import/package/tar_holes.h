#pragma once
// Members of a tar that leave their holes out: GNU tar's own kind of header ("Storing Sparse Files" in its manual, "Old
// GNU Format"), which Google's cloud demands of images. Of the other kinds nothing is taken.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <kiln/block.h>
#include <kiln/file.h>

struct archive_entry;

namespace kiln::import {

/// A run of a member: where it is in the member, and in the archive.
struct TarRun {
  std::uint64_t offset = 0, length = 0, at = 0;
};

/// Before libarchive reads the header at byte `at`, because it keeps all of a map that may be as long as the file.
/// Returns how many bytes of a member with holes are stored; nothing: it has none. Throws refused() for a map of more
/// than 100,000 runs, for any other kind of map, and for names of over 1 MiB.
std::optional<std::uint64_t> check_map(const File&, std::uint64_t at);

/// The runs of such a member, whose data begins at byte `at` of the archive. Throws damaged() unless they are in order,
/// within the member, and all that is stored.
std::vector<TarRun> runs_of(const File&, archive_entry*, std::uint64_t at, std::uint64_t stored);

/// The member as the bytes that it stands for. `size`: of the member.
std::shared_ptr<const BlockReader> open_holed(File archive, std::vector<TarRun>, std::uint64_t size);

}  // namespace kiln::import
