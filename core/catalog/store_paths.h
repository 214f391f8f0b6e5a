#pragma once
// Where things are in a catalog's folder.

#include <filesystem>
#include <string>

#include <kiln/digest.h>

namespace kiln {

struct StorePaths {
  std::filesystem::path root;

  std::filesystem::path records() const { return root / "records.sqlite"; }
  std::filesystem::path packs() const { return root / "packs"; }
  std::filesystem::path disks() const { return root / "disks"; }
  std::filesystem::path staging() const { return root / "staging"; }
  /// Locked while its holder lives.
  std::filesystem::path lease(const std::string& id) const { return staging() / (id + ".lease"); }
  std::filesystem::path lock() const { return root / "lock"; }            ///< see Store::keep_files()
  std::filesystem::path open_lock() const { return root / "open.lock"; }  ///< while records are made or migrated

  /// Files named after packs in which a verification found damage: publishing does not count on them.
  std::filesystem::path damaged() const { return root / "damaged"; }
  std::filesystem::path damage_mark(const std::string& pack) const { return damaged() / pack; }

  /// Packs and manifests that no record named when it was looked for; they go back should a record name them again.
  std::filesystem::path quarantine() const { return root / "quarantine"; }
  /// Tells whose bytes these are: the database has the same.
  std::filesystem::path identity() const { return root / "catalog.id"; }

  std::filesystem::path pack(const std::string& id) const { return packs() / (id + ".pack"); }
  std::filesystem::path manifest(const Digest& content) const { return disks() / (to_hex(content) + ".manifest"); }
};

}  // namespace kiln
