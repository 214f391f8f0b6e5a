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

constexpr std::uint64_t unpacked_limit = std::uint64_t{1} << 30;
constexpr std::size_t header_size = 110;
constexpr std::uint64_t name_limit = 4096;  // PATH_MAX; the kernel takes no longer ones

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

std::uint64_t padded(std::uint64_t n) {
  return (n + 3) / 4 * 4;
}

bool is_cpio(std::string_view bytes) {
  return bytes.starts_with("070701") || bytes.starts_with("070702");
}

/// Reads cpio archives that come in pieces of any size. Lengths are of 32 bits, so that no sum overflows.
class Walk {
 public:
  explicit Walk(Modules& modules) : modules_(modules) {}

  /// Returns what is left: it begins with something else, where an archive could.
  std::string_view take(std::string_view piece) {
    while (!piece.empty()) {
      if (between_) {
        piece.remove_prefix(std::min(piece.find_first_not_of('\0'), piece.size()));
        if (!piece.empty() && piece[0] != '0') return piece;
        between_ = piece.empty();
      } else if (skip_ > 0) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, piece.size()));
        piece.remove_prefix(n);
        skip_ -= n;
      } else {
        const std::size_t n = std::min(wanted_ - head_.size(), piece.size());
        head_ += piece.substr(0, n);
        piece.remove_prefix(n);
        if (head_.size() == wanted_) understand();
      }
    }
    return {};
  }
  void end() const {
    if (!between_) throw unreadable("a cpio archive ends within a file");
  }

 private:
  /// A header says how long the name is that it goes on with; both say what follows.
  void understand() {
    const std::uint64_t name_size = field(94);
    if (wanted_ == header_size) {
      if (!is_cpio(head_)) throw unreadable("no cpio header where one has to be");
      if (name_size == 0 || name_size > name_limit) throw unreadable("a cpio header with a name too short or too long");
      wanted_ = header_size + name_size;
      return;
    }
    const std::string_view name = std::string_view(head_).substr(header_size, name_size - 1);
    between_ = name == "TRAILER!!!";
    if (!between_) modules_.add(name);
    skip_ = between_ ? 0 : padded(wanted_) - wanted_ + padded(field(54));
    head_.clear();
    wanted_ = header_size;
  }

  /// Eight hexadecimal digits of the header (buffer-format.rst: c_namesize at 94, c_filesize at 54).
  std::uint64_t field(std::size_t at) const {
    std::uint64_t value = 0;
    const char* const first = head_.data() + at;
    if (const auto [end, error] = std::from_chars(first, first + 8, value, 16);
        error != std::errc() || end != first + 8)
      throw unreadable("a cpio header without a number at its byte " + std::to_string(at));
    return value;
  }

  Modules& modules_;
  std::string head_;  ///< of a file: what has come of its header and name
  std::size_t wanted_ = header_size;
  std::uint64_t skip_ = 0;
  bool between_ = true;  ///< of archives, where zeros may stand
};

struct Closed {
  void operator()(archive* a) const { archive_read_free(a); }
};

/// Only filters that libarchive has itself: others would start a program. What they yield is read as it comes, because
/// libarchive's own reader of cpio skips a file however long it claims to be.
void unpack(std::string_view bytes, Walk& walk, const std::stop_token& stop) {
  const std::unique_ptr<archive, Closed> in(archive_read_new());
  if (!in) throw Error("out of memory");
  archive_read_support_filter_gzip(in.get());
  archive_read_support_filter_bzip2(in.get());
  archive_read_support_filter_lzma(in.get());
  archive_read_support_filter_xz(in.get());
  archive_read_support_filter_lz4(in.get());
  archive_read_support_filter_zstd(in.get());
  archive_read_support_format_raw(in.get());
  const auto need = [&](int status) {
    if (status >= ARCHIVE_WARN) return;
    const char* text = archive_error_string(in.get());
    throw unreadable(text == nullptr ? "it is in no compression that kiln knows" : text);
  };
  need(archive_read_open_memory(in.get(), bytes.data(), bytes.size()));
  archive_entry* entry = nullptr;
  need(archive_read_next_header(in.get(), &entry));
  const void* block = nullptr;
  std::size_t size = 0;
  la_int64_t at = 0;
  std::uint64_t unpacked = 0;
  for (int status; (status = archive_read_data_block(in.get(), &block, &size, &at)) != ARCHIVE_EOF;) {
    if (stop.stop_requested()) throw cancelled();
    need(status);
    unpacked += size;
    if (unpacked > unpacked_limit) throw unreadable("it unpacks to more than 1 GiB");
    if (!walk.take({static_cast<const char*>(block), size}).empty())
      throw unreadable("no cpio archive, and none in a compression that kiln knows");
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

Names modules_in(std::string_view initramfs, const Names& among, const std::stop_token& stop) {
  Modules modules{among, {}};
  Walk walk(modules);
  if (const std::string_view rest = walk.take(initramfs); !rest.empty()) unpack(rest, walk, stop);
  walk.end();
  return modules.found;
}

}  // namespace kiln::preflight
