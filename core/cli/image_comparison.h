#pragma once
// Two images side by side: what the catalog knows of their content, and what an appliance sees in their guests.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/image_entry.h"
#include "cli/guest_diff.h"
#include "cli/services.h"

namespace kiln::cli {

/// From the manifests: nothing is read for it.
struct ChunkDiff {
  std::uint64_t all = 0;     ///< chunks that hold data in either image
  std::uint64_t differ = 0;  ///< of these
  std::uint64_t bytes = 0;   ///< of the disk, in the chunks that differ
  /// The first runs of them, {offset, length}.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
};

struct TextChange {
  std::string path;                ///< printable
  std::vector<std::string> lines;  ///< a unified diff; empty when only root may read the file
};

struct ImageComparison {
  ChunkDiff chunks;
  /// What the firmware starts: the first 440 bytes, and what lies before the first partition or in the BIOS boot
  /// partition.
  bool same_boot_code = true;
  /// Empty when the content is equal.
  GuestView before, after;
  GuestDiff guest;
  std::vector<TextChange> texts;   ///< below /etc, by path
  std::uint64_t not_compared = 0;  ///< files that would have cost too much to read
  std::vector<std::string> notes;  ///< what could not be looked at, and in which image
};

struct ComparisonOptions {
  std::size_t limit = 50;  ///< lines of a diff, ranges
  bool thorough = false;
};

/// Starts one appliance for both, or one for each when their file systems cannot be told apart; none when the content
/// is equal. Nothing is changed, and nothing is left. Takes as long as it takes to write both disks and to read what
/// differs.
ImageComparison compare_images(Services&, const ImageEntry& before, const ImageEntry& after, const ComparisonOptions&,
                               std::stop_token, bool silent);

}  // namespace kiln::cli
