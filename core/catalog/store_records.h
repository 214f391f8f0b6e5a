#pragma once
// What is recorded of the bytes: packs, and the disks that are made of their chunks.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <kiln/digest.h>

#include "catalog/database.h"

namespace kiln {

struct PackRecord {
  std::string id;  ///< 32 hexadecimal digits; the file is packs/<id>.pack
  std::uint64_t bytes = 0, chunks = 0;
  std::string condemned = {};  ///< since when no image needs it; empty: one does
};

struct DiskRecord {
  Digest content;
  std::uint64_t virtual_size = 0, data_chunks = 0;
};

/// Reads, and the writes that are no part of a publish. A function is one transaction. Any thread.
class StoreRecords {
 public:
  explicit StoreRecords(Database& db) : db_(db) {}

  bool has_disk(const Digest& content) const;
  /// Of this catalog; empty when it has none yet.
  std::string identity() const;
  /// Unless somebody was faster. Returns what it is.
  std::string set_identity(const std::string& fresh);
  std::vector<PackRecord> packs() const;
  /// Nothing: there is no such disk.
  std::optional<std::vector<std::string>> packs_of(const Digest& content) const;
  std::vector<DiskRecord> disks() const;

  /// The contents that are read from a pack.
  std::vector<Digest> disks_of(const std::string& pack) const;
  /// These disks are read from `fresh` instead of `old`, which stays on record until it is forgotten as unused.
  void replace_pack(const std::string& old, const PackRecord& fresh, const std::vector<Digest>& disks);

  /// What a collection forgets, and what it has to leave for now.
  struct Unused {
    std::vector<std::string> images;  ///< "name:version" of those whose term in the trash was over
    std::vector<DiskRecord> disks;
    std::vector<PackRecord> packs, waiting;  ///< waiting: condemned, but a lease may come to need them
  };
  /// Ends leases, forgets what no image needs, and condemns what a lease may still come to need: any that began before
  /// `grace` seconds after the condemnation. A disk whose usage is not settled stays for the next time. dry_run: undoes
  /// all of it.
  Unused forget_unused(const std::vector<std::string>& dead_leases, std::chrono::seconds grace, bool dry_run);

 private:
  Database& db_;
};

/// Inside the caller's transaction: a disk, the packs that its chunks are in, and the new one among them.
void insert_disk(soci::session&, const DiskRecord&, const std::optional<PackRecord>& new_pack,
                 const std::vector<std::string>& packs, const std::string& now);
bool has_disk(soci::session&, const Digest& content);
/// Inside the caller's transaction: the disk is read from these packs instead, the new one among them.
void replace_disk_packs(soci::session&, const Digest& content, const std::optional<PackRecord>& new_pack,
                        const std::vector<std::string>& packs, const std::string& now);

}  // namespace kiln
