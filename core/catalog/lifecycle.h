#pragma once
// The life of an image: what its dates make of it at a moment.
//
//     creating ─▶ available ─▶ deprecated ─▶ obsolete        revoked: from any of these, and from a revoked ancestor
//         └────▶ failed                                      trashed: from any, until it is restored or purged
//
// A date acts when it is reached, also when nothing was running at that moment: the state is computed whenever it is
// asked for, and never stored.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace kiln {

/// UTC as in "2026-11-22T20:00:00Z": the order of the texts is that of time. Empty: never.
using Moment = std::string;

Moment now_moment();
/// Reads "2026-11-22", "2026-11-22T20:00:00Z", "now", and "+30d", "+2h" from now. Throws invalid().
Moment parse_moment(std::string_view text);
/// The moment so many seconds after another one.
Moment later(const Moment&, std::chrono::seconds by);

/// Seconds since 1970 and back. A moment that is none is an Error: its record is damaged.
std::int64_t unix_time(const Moment&);
Moment moment_at(std::int64_t seconds);

enum class ImageState { creating, available, deprecated, obsolete, revoked, trashed, failed };

std::string_view to_text(ImageState);

/// What is recorded of an image's life.
struct Lifecycle {
  enum class Making { creating, done, failed } making = Making::done;
  Moment deprecated_at = {}, obsolete_at = {};
  std::string replacement = {};  ///< "web:2" of the same owner, or "bob/web:2": what to use instead
  Moment revoked_at = {};
  std::string reason = {};        ///< of the revocation
  bool ancestor_revoked = false;  ///< found in the graph, not recorded here
  Moment trashed_at = {}, purge_at = {};
  std::string error = {};  ///< why it failed

  ImageState at(const Moment& now) const;
  /// Its term in the trash, or as one that failed, is over: for everybody it is gone, though nobody may have swept yet.
  bool is_over(const Moment& now) const;
};

}  // namespace kiln
