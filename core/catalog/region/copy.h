#pragma once
// Copying an image from one region to another: only the chunks that the other side lacks, verified on arrival.

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "catalog/region/region.h"

namespace kiln {

struct CopyOptions {
  /// Asked before somebody's image becomes the account's own, which no launch policy looks at later; throws refused().
  /// Empty: not asked.
  std::function<void(const ImageEntry& original)> admit = {};
  std::string channel = {};   ///< of the copy's name, to be pointed at it; empty: none
  std::stop_token stop = {};  ///< once asked for, throws cancelled()
  /// Bytes of the disks' data that are there so far, and in all. By one thread at a time.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};

struct CopyReport {
  std::string region;  ///< where it went
  ImageEntry image;    ///< as it is there
  bool was_there = false;
  bool channel_moved = false;
  bool state_changed = false;                      ///< it was there, and has the original's dates now
  std::uint64_t moved_chunks = 0, all_chunks = 0;  ///< all: distinct ones of all disks
  std::uint64_t moved_bytes = 0;                   ///< as they are stored
  /// What another copy had moved before it was killed or interrupted, and this one went on from.
  std::uint64_t resumed_chunks = 0, resumed_bytes = 0;
};

/// Copies the image that resolve(…, Action::copy) of `from` has given. Labels, dates and parents come along; shares,
/// visibility, protection and channels do not. The copy keeps its owner and its id when the account may act for that
/// owner; otherwise it becomes the account's, with an id of its own. An image that is there already is not copied
/// again, but given the dates that the original has got since (a region in a bucket cannot do that). What an ancestor
/// is to be revoked at, the copy is, too.
///
/// Throws invalid() when another image has its name and version there, refused() when the image was revoked, or taken
/// from the account, while it was copied. Whatever ends a copy before its end leaves no image there.
CopyReport copy_image(const Region& from, const ImageEntry&, Region& to, const CopyOptions& = {});

/// Copies what NAME:CHANNEL points at, unless it is there, and points the channel of the other side at it. Throws
/// invalid() when the reference names no channel.
CopyReport sync_channel(const Region& from, std::string_view reference, Region& to, const CopyOptions& = {});

}  // namespace kiln
