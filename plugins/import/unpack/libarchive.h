#pragma once
// A kiln::File as libarchive reads it. The file's own errors come through as they are.

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include <kiln/file.h>

namespace kiln::import {

class ArchiveReader {
 public:
  /// `support` says which formats: archive_read_support_format_tar and the like. No filter is on.
  ArchiveReader(const File&, int (*support)(archive*));
  ArchiveReader(const ArchiveReader&) = delete;
  ArchiveReader& operator=(const ArchiveReader&) = delete;
  ~ArchiveReader();

  /// The next member's header; nullptr after the last one. Valid until the next call.
  archive_entry* next();
  archive* get() const { return archive_; }
  /// Bytes of the file that were consumed or skipped.
  std::uint64_t position() const;
  /// Throws what went wrong unless `result` is ARCHIVE_OK: a warning is about something that does not fit as well.
  void must(int result) const;
  /// The name in UTF-8, whatever the locale; empty when it has none.
  static std::string name_of(archive_entry*);

 private:
  static la_ssize_t read(archive*, void* self, const void** bytes);
  static la_int64_t skip(archive*, void* self, la_int64_t length);
  static la_int64_t seek(archive*, void* self, la_int64_t offset, int whence);

  const File& file_;
  archive* archive_;
  std::vector<std::byte> buffer_;
  std::uint64_t at_ = 0, size_;
  std::exception_ptr thrown_;
};

}  // namespace kiln::import
