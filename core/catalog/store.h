#pragma once
// The folder of a catalog as the parts of the catalog use it: records, files, and their removal.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "catalog/chunk_index.h"
#include "catalog/image_records.h"
#include "catalog/share_records.h"
#include "catalog/signature_records.h"
#include "catalog/store_paths.h"
#include "catalog/store_records.h"
#include "catalog/usage_records.h"
#include "process/file_lock.h"

namespace kiln {

class Store {
 public:
  /// Makes the folders and the records when they are not there. `database`: where the records are; empty: in the
  /// folder.
  explicit Store(std::filesystem::path root, const std::string& database = {});

  StorePaths paths;

 private:
  std::unique_ptr<Database> database_;

 public:
  StoreRecords records;
  ImageRecords images;
  ShareRecords shares;
  SignatureRecords signatures;
  UsageRecords usage;

  /// While it is held, no file with a record goes away. Shared by everybody who needs files to stay: publishers, and
  /// those that are just opening files. Exclusive for whoever removes files; with that, every file without a record
  /// belongs to somebody who died.
  FileLock keep_files() const { return FileLock::shared(paths.lock()); }
  /// Opens packs by id. Throws Error naming the pack that is not there. Hold keep_files().
  ChunkIndex::Packs open_packs(const std::vector<std::string>& ids) const;

  /// Throws Error when one of them got lost.
  void require_packs(const std::vector<std::string>& ids) const;

  struct Swept {
    bool done = false;  ///< false: somebody publishes, nothing was touched
    std::uint64_t packs = 0, bytes = 0;
  };
  /// Forgets images whose term in the trash is over and what no image needs, then removes every file that has no
  /// record.
  Swept sweep();
  /// Leaves a note that the next one who opens the store shall sweep.
  void ask_for_sweep();
  /// The same as sweep(), when a publish that died may have left something. Never throws: it is not what the caller
  /// came for.
  void sweep_leftovers() noexcept;
};

/// 32 hexadecimal digits from the kernel's random numbers.
std::string random_id();

}  // namespace kiln
