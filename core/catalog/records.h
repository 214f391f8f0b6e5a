#pragma once
// What the catalog knows, in SQL. The only door to it: no other header of kiln knows that there is a database.
//
// Plain SQL over SOCI, SQLite today: one file in WAL mode, synchronous=FULL, foreign keys on. A function is one
// transaction. Any thread may call any function; they take turns. Errors of the database arrive as Error.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/catalog.h>

namespace kiln {

struct PackRecord {
  std::string id;  ///< 32 hexadecimal digits; the file is packs/<id>.pack
  std::uint64_t bytes = 0, chunks = 0;
};

struct DiskRecord {
  Digest content;
  std::uint64_t virtual_size = 0, data_chunks = 0;
};

/// Everything that one publish adds, in one transaction.
struct NewImage {
  Image image;  ///< without version: the next of today
  std::string channel;
  DiskRecord disk;
  std::optional<PackRecord> pack;  ///< written by this publish
  std::vector<std::string> packs;  ///< ids of all packs that the disk's chunks are in, the new one included
};

struct RecordedImage {
  Image image;
  std::vector<std::string> channels;
};

class Records {
 public:
  /// Opens or makes the database and migrates it to the schema of this program.
  explicit Records(const std::filesystem::path&);
  ~Records();

  bool has_version(std::string_view name, std::string_view version) const;
  bool has_disk(const Digest& content) const;
  /// Returns the image as it is recorded. Somebody else may have recorded the same content since has_disk() was asked:
  /// then `pack` is left out, and `stored_bytes` is 0.
  Image add(const NewImage&);

  /// The newest of the name for an empty tag.
  std::optional<RecordedImage> find(std::string_view name, std::string_view tag) const;
  std::optional<RecordedImage> find_id(std::string_view id) const;
  /// By name, the newest first.
  std::vector<RecordedImage> list() const;

  std::vector<PackRecord> packs() const;
  std::vector<std::string> packs_of(const Digest& content) const;
  std::vector<DiskRecord> disks() const;
  /// "name:version" of the images of a disk.
  std::vector<std::string> images_of(const Digest& content) const;

  void remove(const std::string& image_id);
  /// Forgets disks that no image has and packs that no disk has. Only under the exclusive lock of the store.
  std::vector<PackRecord> forget_unused();

 private:
  struct Database;
  std::unique_ptr<Database> db_;
};

}  // namespace kiln
