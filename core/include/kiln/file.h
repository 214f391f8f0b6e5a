#pragma once
// Files as formats and sinks use them: whole reads and writes at an offset, holes, and nothing half-made.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include <kiln/error.h>

namespace kiln {

/// An open regular file, or a run of one. Moves, does not copy. Positional reads and writes may be called from any
/// thread.
class KILN_API File {
 public:
  /// Refuses what is not a regular file or block device (FIFO, socket, folder) without blocking on it.
  static File open_read(const std::filesystem::path&);
  /// Creates anew; fails when the name exists. Mode 0644 less the umask.
  static File create(const std::filesystem::path&);
  /// Opens an existing file for reading and writing.
  static File open_write(const std::filesystem::path&);

  File(File&&) noexcept;
  File& operator=(File&&) noexcept;
  ~File();

  /// A run of this file as a file of its own, named `name` below this one's path: a member of an archive that is
  /// stored as it is. Throws Error when the run does not lie within this one.
  File part(std::uint64_t offset, std::uint64_t length, const std::string& name) const;
  /// The same file, opened once more.
  File again() const;
  /// The same, under the path that people know it by: what was unpacked lies in a file without a name.
  File called(std::filesystem::path) const;
  /// Whether it is a part() or called(): then nothing lies beside it.
  bool is_part() const noexcept { return length_.has_value(); }

  std::uint64_t size() const;
  /// Reads all of `into`; past the end is an Error that calls the file truncated and names the offset.
  void read_at(std::uint64_t offset, std::span<std::byte> into) const;
  /// Reads what there is, up to `into`. Returns the number of bytes.
  std::size_t read_some(std::uint64_t offset, std::span<std::byte> into) const;
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void truncate(std::uint64_t size);
  /// fsync. A failure is final: the data may be lost (never retried on the same descriptor).
  void sync();
  /// Asks the kernel to start writing a range back, without waiting, so that a later sync() is short.
  void start_writeback(std::uint64_t offset, std::uint64_t length) noexcept;
  /// The first offset >= `offset` that may hold data (`want_data`) or a hole; size() when there is none.
  std::uint64_t seek(std::uint64_t offset, bool want_data) const;

  int fd() const noexcept { return fd_; }
  /// Where byte 0 is in what fd() is open on: of a part(), its offset.
  std::uint64_t begin() const noexcept { return begin_; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  File(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::filesystem::path path_;
  std::uint64_t begin_ = 0;              ///< where byte 0 is in what fd_ is open on
  std::optional<std::uint64_t> length_;  ///< of a part() or called()
};

/// A file that is being made under its own name. Unless keep() is called, the destructor removes it.
class KILN_API NewFile {
 public:
  explicit NewFile(const std::filesystem::path& path) : file_(File::create(path)) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  File& file() noexcept { return file_; }
  void keep() noexcept { kept_ = true; }

 private:
  File file_;
  bool kept_ = false;
};

/// A name beside `target` to write to. commit() renames it onto the target; otherwise the destructor removes it.
class KILN_API PendingFile {
 public:
  /// Throws invalid() when the target is there and no regular file: a rename would replace a device.
  explicit PendingFile(std::filesystem::path target);
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  ~PendingFile();

  const std::filesystem::path& path() const noexcept { return path_; }  ///< does not exist yet
  /// Replaces the target in one step. `durable`: fsync file and folder first and after.
  void commit(bool durable);
  /// Removes what was pending for the same target when its process was killed: nobody runs under its number, and
  /// nobody has written to it for ten minutes (the process may be one of another container).
  void remove_abandoned() const noexcept;

 private:
  std::filesystem::path target_, path_;
  bool committed_ = false;
};

/// fsync of a folder, so that names made in it survive a power cut.
KILN_API void sync_directory(const std::filesystem::path&);

/// The whole of a small text file. Over `limit` bytes is an Error.
KILN_API std::string read_text(const std::filesystem::path&, std::uint64_t limit = 16u << 20);
/// Writes through a PendingFile.
KILN_API void write_text(const std::filesystem::path&, std::string_view text, bool durable = false);

}  // namespace kiln
