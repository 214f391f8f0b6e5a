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

/// A disk that was stored, on its way into the records.
struct NewDisk {
  DiskRecord disk;
  bool files = false;              ///< manifest and pack are in place
  std::optional<PackRecord> pack;  ///< that was written for it
  std::vector<std::string> packs;  ///< ids of all packs that its chunks are in, the new one included
  std::string lease;               ///< under which it was stored
  /// The disk may be on record, in packs that are damaged: it is read from `packs` from now on.
  bool replaces_packs = false;
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

  /// A part of an image that will be: its lease keeps it from now on. Returns as record_disk(). Throws when the lease
  /// is gone.
  std::optional<std::uint64_t> keep_part(const NewDisk&);

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

/// Inside the caller's transaction. Returns the bytes of the pack that came with the disk: 0, and `pack` is left out,
/// when the content is on record already. Nothing, and nothing is recorded, when it is not and `files` says that the
/// caller has put none in place.
std::optional<std::uint64_t> record_disk(soci::session&, const NewDisk&, const std::string& now);

}  // namespace kiln
