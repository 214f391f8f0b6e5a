#pragma once
// What a copy that was killed, or interrupted, leaves in staging/: its pack, as far as that was written, and a note of
// whose chunks they are. The next copy of the same content goes on from it; when none comes within a term, the
// collection takes it.
//
//     staging/<lease>.pack   no index yet; records may be cut off, or be zeros that were never written
//     staging/<lease>.copy   "kiln-copy-1", "sha256:<content>", the host's boot id: a line each. Locked by its process

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "catalog/lifecycle.h"
#include "catalog/pack_file.h"
#include "catalog/store_paths.h"
#include "disk/manifest.h"
#include "process/file_lock.h"

namespace kiln {

class Store;

/// How long it is kept after it was written to for the last time.
inline constexpr std::chrono::hours unfinished_copy_term{24};

/// Marks what a lease stages as a copy of that content. Made before the pack; the destructor removes it, unless keep()
/// was called, so the pack is to be gone, or to have its name, before.
class CopyNote {
 public:
  CopyNote(const StorePaths&, const std::string& lease, const Digest& content);
  CopyNote(const CopyNote&) = delete;
  CopyNote& operator=(const CopyNote&) = delete;
  ~CopyNote();

  /// The copy ends here, and another one may go on from it.
  void keep() noexcept { kept_ = true; }

 private:
  bool kept_ = false;
  std::filesystem::path file_;
  FileLock alive_;
};

struct UnfinishedCopy {
  Digest content;
  std::uint64_t bytes = 0;  ///< of its pack
  Moment until;             ///< when its term is over
};

/// What that lease staged; nothing when it is no copy, has no pack, or its term is over. It may still run: its lease
/// tells.
std::optional<UnfinishedCopy> unfinished_copy(const StorePaths&, const std::string& lease);

/// Gives the largest pack that a copy of this disk left behind the name `into`, which must be free, and reads all of
/// it. The records that are whole, in their order, up to the first that is not: the file ends with the last of them.
/// None, and no file: there is nothing to go on from. Of several callers at once one gets it. The caller holds a lease
/// to which `into` belongs. Once stopped, throws cancelled() and leaves the file as it is; no other kiln::Error: a copy
/// can as well begin anew.
std::vector<PackEntry> adopt_unfinished(const Store&, const Manifest&, const std::filesystem::path& into,
                                        const std::stop_token& stop = {});

}  // namespace kiln
