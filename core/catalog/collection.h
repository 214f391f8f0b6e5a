#pragma once
// The collection: forgets what nothing needs any longer, and frees its space, beside publishes that run.
//
//     an image's term in the trash, or as one that failed, is over ─▶ its record goes
//     a disk that no image has             ─▶ its record goes, its manifest goes
//     a pack that no disk has              ─▶ condemned: no new publish counts on it. It goes once every lease that was
//                                             there when it was condemned has ended
//     a lease whose process is dead, or that ended longer than the grace ago ─▶ it goes, with what it has in staging/;
//                                             but what another copy can go on from stays for a term (unfinished_copy.h)
//     a pack or manifest without record    ─▶ quarantine: records that were restored may name it again. It goes after
//                                             quarantine_term
//     a staged file without lease          ─▶ it goes
//
// One transaction decides; a publish whose lease it ended cannot commit after it. Files go afterwards, at a moment in
// which nobody is between naming a file and recording it.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

class Store;

/// How long a file that no record names is kept.
inline constexpr std::chrono::hours quarantine_term{24 * 14};

struct CollectOptions {
  /// How long an ended lease of another host is still honoured, and how far clocks of hosts may differ.
  std::chrono::seconds grace{600};
  bool dry_run = false;  ///< nothing changes
  /// A publish that has ended just now: what it named goes at once.
  std::string ended = {};
};

/// Something that goes, or that would go but has to wait.
struct Collectable {
  enum class Kind { image, disk, pack, lease, file, chunks } kind = Kind::pack;
  std::string name;  ///< "web:1", a digest, an id, a path in the catalog's folder, how many chunks
  std::uint64_t bytes = 0;
  std::string why;
  bool waits = false;
};

struct Collected {
  std::vector<Collectable> items;
  std::uint64_t packs = 0, bytes = 0;  ///< that are gone
  /// Something has to wait: packs for leases, files for somebody who is just naming files. The next one who opens the
  /// store collects. Not set for what only waits for its term.
  bool postponed = false;
};

Collected collect(Store&, const CollectOptions& = {});

/// Whether there is something in staging/ that no living process holds and no copy can go on from.
bool has_leftovers(const Store&);

}  // namespace kiln
