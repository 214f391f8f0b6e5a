#pragma once
// The folder of a catalog as the parts of the catalog use it: records, files, and their removal.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "catalog/chunk_index.h"
#include "catalog/image_records.h"
#include "catalog/lease.h"
#include "catalog/lease_records.h"
#include "catalog/share_records.h"
#include "catalog/signature_records.h"
#include "catalog/store_paths.h"
#include "catalog/store_records.h"
#include "catalog/usage_records.h"
#include "catalog/use_records.h"
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
  LeaseRecords leases;
  UseRecords uses;

  /// Of the leases that are taken here.
  std::chrono::seconds lease_term = Lease::usual_term;

  /// For the moment between learning a file's name and having it open, and for the one between giving it its name and
  /// recording that. While it is held no file goes away from packs/ and disks/. The collection takes it exclusively:
  /// then every file in there without a record belongs to nobody.
  FileLock keep_files() const { return FileLock::shared(paths.lock()); }
  /// Opens packs by id. Throws Error naming the pack that is not there. Hold keep_files().
  ChunkIndex::Packs open_packs(const std::vector<std::string>& ids) const;

  /// A pack or manifest that a record names comes back from quarantine, when it is there. Hold keep_files().
  void bring_back(const std::filesystem::path& file) const;

  /// Leaves a note that the next one who opens the store shall collect.
  void ask_for_sweep();
  /// Collects, when somebody who died may have left something. Never throws: it is not what the caller came for.
  void sweep_leftovers() noexcept;

 private:
  void require_one_catalog(const std::string& database);
  bool is_of_the_records() const;
};

/// 32 hexadecimal digits from the kernel's random numbers.
std::string random_id();

}  // namespace kiln
