#include "member.h"

#include <archive.h>
#include <archive_entry.h>

#include <ctime>
#include <memory>
#include <new>

#include <kiln/error.h>

namespace kiln::ova {
namespace {

constexpr std::uint64_t most_in_ustar = (std::uint64_t{1} << 33) - 1;  // eleven octal digits
constexpr std::time_t epoch = 315'532'800;                             // 1980-01-01, before which some doubt a time

struct Free {
  void operator()(archive* a) const {
    ::archive_write_fail(a);  // or it would fill in the member's bytes, which are elsewhere
    ::archive_write_free(a);
  }
  void operator()(archive_entry* entry) const { ::archive_entry_free(entry); }
};

void must(archive* a, int result) {
  if (result == ARCHIVE_OK) return;
  const char* words = ::archive_error_string(a);
  throw Error(std::string("cannot make a tar header: ") + (words != nullptr ? words : "libarchive does not say why"));
}

}  // namespace

std::array<std::byte, tar_block> member_header(const std::string& name, std::uint64_t size) {
  const std::unique_ptr<archive, Free> a(::archive_write_new());
  const std::unique_ptr<archive_entry, Free> entry(::archive_entry_new());
  if (!a || !entry) throw std::bad_alloc();
  std::array<std::byte, tar_block> header{};
  std::size_t used = 0;
  must(a.get(),
       size > most_in_ustar ? ::archive_write_set_format_gnutar(a.get()) : ::archive_write_set_format_ustar(a.get()));
  must(a.get(), ::archive_write_set_bytes_per_block(a.get(), 0));  // straight into the buffer
  must(a.get(), ::archive_write_open_memory(a.get(), header.data(), header.size(), &used));
  ::archive_entry_set_pathname(entry.get(), name.c_str());
  ::archive_entry_set_filetype(entry.get(), AE_IFREG);
  ::archive_entry_set_perm(entry.get(), 0644);
  ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  ::archive_entry_set_mtime(entry.get(), epoch, 0);
  must(a.get(), ::archive_write_header(a.get(), entry.get()));
  if (used != header.size()) throw Error("cannot make a tar header for " + name, "give the machine a shorter name");
  return header;
}

}  // namespace kiln::ova
