#pragma once
// From a grain of the disk to its place in the file: grain directory, grain tables. Source: VMware, "Virtual Disk
// Format 5.0" (2011), "Grain Directory and Grain Tables".

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "claims.h"
#include "header.h"

namespace kiln::vmdk {

/// A grain table's entries: the first sector of each grain; see Header::is_zero().
using Table = std::vector<std::uint32_t>;

/// The directory, and the tables read as they are asked for: at most 4 MiB of them are kept. Any thread may call it.
class Tables {
 public:
  /// Reads the directory. Both must outlive this.
  Tables(const File&, const Header&);

  /// Null when there is no such table, or it is empty: its grains are zeros.
  std::shared_ptr<const Table> table(std::uint64_t number) const;
  bool has_table(std::uint64_t number) const { return directory_[number] != 0; }
  std::uint64_t count() const { return directory_.size(); }

  /// Validates every entry of every table:
  /// - each table, and each grain or its marker, lies within the file;
  /// - no two of them share a sector, and none is on the header, the descriptor, a directory or the footer. Of a
  ///   compressed grain it is the sector where it starts;
  /// - the redundant tables say the same as the tables.
  /// Throws Error naming the entry. Returns what the compressed grains' starts and the metadata take, for files of one
  /// window; null otherwise.
  std::unique_ptr<Claims> check();

  std::uint64_t grains() const { return grains_; }       ///< that check() found
  std::uint32_t last_start() const { return highest_; }  ///< the highest start of a grain that check() found

 private:
  struct Slot {
    std::uint64_t number = UINT64_MAX, used = 0;
    std::shared_ptr<const Table> table;
  };
  struct Shard {
    std::mutex mutex;
    std::uint64_t clock = 0;
    std::array<Slot, 32> slots;
  };

  std::vector<std::uint32_t> read_directory(const char* what, std::uint64_t at) const;
  void check_window(Claims&, bool first);
  void claim_metadata(Claims&) const;
  void claim_tables(Claims&, const char* what, const std::vector<std::uint32_t>&) const;
  void check_table(Claims&, std::uint64_t number, std::span<const std::byte> entries, bool first);
  void check_entry(Claims&, std::uint64_t grain, std::uint32_t entry) const;
  bool is_hole(const std::vector<std::uint32_t>& directory, std::uint64_t from, std::uint64_t run) const;
  std::uint64_t run_of_tables(std::uint64_t from) const;

  const File& file_;
  const Header& header_;
  std::uint64_t file_size_;
  std::vector<std::uint32_t> directory_, redundant_;
  std::vector<bool> used_;  // which tables have a grain; from check() on the directory names no others
  std::uint64_t grains_ = 0;
  std::uint32_t highest_ = 0;
  mutable std::array<Shard, 8> shards_;
};

}  // namespace kiln::vmdk
