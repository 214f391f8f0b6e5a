#include "unpack/libarchive.h"

#include <clocale>
#include <cstdio>
#include <new>
#include <string>

#include <kiln/finding.h>
#include <kiln/text.h>

namespace kiln::import {
namespace {

/// libarchive converts names to the locale's characters, and kiln's locale is "C": for this thread it is UTF-8.
class Utf8Names {
 public:
  Utf8Names() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{})) {
    if (locale_ != locale_t{}) before_ = ::uselocale(locale_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;
  ~Utf8Names() {
    if (locale_ == locale_t{}) return;
    ::uselocale(before_);
    ::freelocale(locale_);
  }

 private:
  locale_t locale_, before_{};
};

}  // namespace

ArchiveReader::ArchiveReader(const File& file, int (*support)(archive*))
    : file_(file), archive_(::archive_read_new()), buffer_(64 * 1024), size_(file.size()) {
  if (archive_ == nullptr) throw std::bad_alloc();
  const Utf8Names utf8;
  try {
    must(support(archive_));
    ::archive_read_set_read_callback(archive_, read);
    ::archive_read_set_skip_callback(archive_, skip);
    ::archive_read_set_seek_callback(archive_, seek);
    ::archive_read_set_callback_data(archive_, this);
    must(::archive_read_open1(archive_));
  } catch (...) {
    ::archive_read_free(archive_);
    throw;
  }
}

ArchiveReader::~ArchiveReader() {
  ::archive_read_free(archive_);
}

archive_entry* ArchiveReader::next() {
  const Utf8Names utf8;
  archive_entry* entry = nullptr;
  const int result = ::archive_read_next_header(archive_, &entry);
  if (result == ARCHIVE_EOF && !thrown_) return nullptr;
  must(result);
  return entry;
}

std::uint64_t ArchiveReader::position() const {
  return static_cast<std::uint64_t>(std::max<la_int64_t>(::archive_filter_bytes(archive_, 0), 0));
}

void ArchiveReader::must(int result) const {
  if (thrown_) std::rethrow_exception(thrown_);
  if (result == ARCHIVE_OK) return;
  const char* words = ::archive_error_string(archive_);
  throw damaged(file_, "near byte " + std::to_string(position()) + ": " +
                           printable(words != nullptr ? words : "cannot be read", 300));
}

std::string ArchiveReader::name_of(archive_entry* entry) {
  const Utf8Names utf8;
  const char* name = ::archive_entry_pathname(entry);
  if (name == nullptr) name = ::archive_entry_pathname_utf8(entry);
  return name != nullptr ? name : "";
}

// C code calls these back: no exception may go through it, so it waits in thrown_.

la_ssize_t ArchiveReader::read(archive* a, void* data, const void** bytes) {
  auto& self = *static_cast<ArchiveReader*>(data);
  try {
    const std::size_t got = self.file_.read_some(self.at_, self.buffer_);
    self.at_ += got;
    *bytes = self.buffer_.data();
    return static_cast<la_ssize_t>(got);
  } catch (...) {
    self.thrown_ = std::current_exception();
    ::archive_set_error(a, EIO, "cannot be read");
    return -1;
  }
}

la_int64_t ArchiveReader::skip(archive*, void* data, la_int64_t length) {
  auto& self = *static_cast<ArchiveReader*>(data);
  if (length <= 0) return 0;
  const std::uint64_t most = self.size_ - std::min(self.at_, self.size_);
  const std::uint64_t skipped = std::min(most, static_cast<std::uint64_t>(length));
  self.at_ += skipped;
  return static_cast<la_int64_t>(skipped);
}

la_int64_t ArchiveReader::seek(archive*, void* data, la_int64_t offset, int whence) {
  auto& self = *static_cast<ArchiveReader*>(data);
  const std::uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? self.at_ : self.size_;
  const la_int64_t to = static_cast<la_int64_t>(from) + offset;
  if (to < 0 || static_cast<std::uint64_t>(to) > self.size_) return ARCHIVE_FATAL;
  self.at_ = static_cast<std::uint64_t>(to);
  return to;
}

}  // namespace kiln::import
