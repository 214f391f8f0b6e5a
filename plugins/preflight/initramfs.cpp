#include "initramfs.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>

#include <kiln/error.h>

namespace kiln::preflight {
namespace {

constexpr std::int64_t unpacked_limit = std::int64_t{1} << 30;
constexpr std::size_t header_size = 110;

/// Keeps no name that nobody has asked for.
struct Modules {
  const Names& among;
  Names found;

  void add(std::string_view path) {
    if (std::string name = module_name(path); among.contains(name)) found.insert(std::move(name));
  }
};

Error unreadable(const std::string& evidence) {
  return Error("the initramfs cannot be read", {}, {evidence});
}

/// Eight hexadecimal digits of a header (buffer-format.rst: c_namesize at 94, c_filesize at 54).
std::uint64_t field(std::string_view header, std::size_t at) {
  std::uint64_t value = 0;
  const char* const first = header.data() + at;
  if (const auto [end, error] = std::from_chars(first, first + 8, value, 16); error != std::errc() || end != first + 8)
    throw unreadable("a cpio header without a number at its byte " + std::to_string(at));
  return value;
}

std::uint64_t padded(std::uint64_t n) {
  return (n + 3) / 4 * 4;
}

bool is_cpio(std::string_view bytes) {
  return bytes.starts_with("070701") || bytes.starts_with("070702");
}

/// Adds the modules of the archive that `bytes` begin with, and returns its length. Lengths are of 32 bits, so that no
/// sum overflows.
std::size_t walk(std::string_view bytes, Modules& modules) {
  for (std::uint64_t at = 0;;) {
    if (at + header_size > bytes.size()) throw unreadable("a cpio archive ends within a header");
    const std::string_view header = bytes.substr(at, header_size);
    if (!is_cpio(header)) throw unreadable("no cpio header where one has to be");
    const std::uint64_t name_size = field(header, 94), data = at + padded(header_size + name_size);
    const std::uint64_t next = data + padded(field(header, 54));
    if (name_size == 0 || at + header_size + name_size > bytes.size() || data > bytes.size())
      throw unreadable("a name in a cpio archive ends after it");
    const std::string_view name = bytes.substr(at + header_size, name_size - 1);
    if (name == "TRAILER!!!") return static_cast<std::size_t>(std::min<std::uint64_t>(next, bytes.size()));
    modules.add(name);
    if (next > bytes.size()) throw unreadable("a file in a cpio archive ends after it");
    at = next;
  }
}

struct Closed {
  void operator()(archive* a) const { archive_read_free(a); }
};

/// Only filters that libarchive has itself: others would start a program.
void unpack(std::string_view bytes, Modules& modules) {
  const std::unique_ptr<archive, Closed> in(archive_read_new());
  if (!in) throw Error("out of memory");
  archive_read_support_filter_gzip(in.get());
  archive_read_support_filter_bzip2(in.get());
  archive_read_support_filter_lzma(in.get());
  archive_read_support_filter_xz(in.get());
  archive_read_support_filter_lz4(in.get());
  archive_read_support_filter_zstd(in.get());
  archive_read_support_format_cpio(in.get());
  const auto words = [&] {
    const char* text = archive_error_string(in.get());
    return std::string(text == nullptr ? "no cpio archive, and none in a compression that kiln knows" : text);
  };
  if (archive_read_open_memory(in.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) throw unreadable(words());
  archive_entry* entry = nullptr;
  for (int status; (status = archive_read_next_header(in.get(), &entry)) != ARCHIVE_EOF;) {
    if (status < ARCHIVE_WARN) throw unreadable(words());
    if (archive_filter_bytes(in.get(), 0) > unpacked_limit) throw unreadable("it unpacks to more than 1 GiB");
    const char* name = archive_entry_pathname(entry);
    modules.add(name == nullptr ? "" : name);
  }
}

}  // namespace

std::string module_name(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t end = name.find(".ko");
  if (end == std::string_view::npos || (end + 3 != name.size() && name[end + 3] != '.')) return {};
  std::string out(name.substr(0, end));
  std::ranges::replace(out, '-', '_');
  return out;
}

Names modules_in(std::string_view initramfs, const Names& among) {
  Modules modules{among, {}};
  for (std::string_view rest = initramfs;;) {
    rest.remove_prefix(std::min(rest.find_first_not_of('\0'), rest.size()));
    if (rest.empty()) return modules.found;
    if (!is_cpio(rest)) {
      unpack(rest, modules);
      return modules.found;
    }
    rest.remove_prefix(walk(rest, modules));
  }
}

}  // namespace kiln::preflight
