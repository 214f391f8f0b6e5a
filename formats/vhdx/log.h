#pragma once
// 2.3 "Log": what was written to the log, but perhaps not yet to its place.

#include <cstdint>

#include <kiln/file.h>

#include "header.h"
#include "overlay.h"

namespace kiln::vhdx {

/// What replaying the log would do to the file.
struct Replay {
  Overlay overlay;
  std::uint64_t entries = 0, first = 0, last = 0;  ///< how many were replayed; their sequence numbers
  std::uint64_t zeroed = 0;                        ///< bytes that are told to be zeros
  std::uint64_t file_size = 0;                     ///< the file's, afterwards
};

/// Replays the log into memory; the file is not written. Memory is bounded by the log's size, and that by 64 MiB.
///
/// The active sequence is found as 2.3.3 "Log Replay" says: entries that follow each other with numbers that follow
/// each other, up to one that has no successor, and whose field Tail names the first that counts. An entry that was
/// torn while it was written is no successor. Throws Error when the header says that there is something to replay, and
/// no sequence is whole, or when the file is shorter than it was when the log was written.
Replay replay_log(const File&, const Header&);

}  // namespace kiln::vhdx
