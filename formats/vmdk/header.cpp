#include "header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <kiln/endian.h>

namespace kiln::vmdk {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint64_t cowd_header_sectors = 4, cowd_table_entries = 4096, cowd_unclean = 1648;
constexpr std::uint64_t max_grain = 4096;                       // 2 MiB; the usual is 64 KiB
constexpr std::uint64_t min_table = 128, max_table = 4096;      // entries; hosted extents have 512
constexpr std::uint64_t max_directory = 4u << 20;               // 128 TiB of the usual tables
constexpr std::uint32_t incompatible = 0xffff0000;              // flags that a reader must understand
constexpr std::array<char, 4> newlines{'\n', ' ', '\r', '\n'};  // what a transfer as text changes
constexpr std::uint64_t most_sectors = std::uint64_t{INT64_MAX} / sector;

std::string field(const char* of, unsigned from, unsigned length) {
  return std::string(of) + ", bytes " + std::to_string(from) + ".." + std::to_string(from + length - 1) + ": ";
}

Header decode(Bytes b) {
  Header h;
  h.version = get_le<std::uint32_t>(b, 4);
  h.flags = get_le<std::uint32_t>(b, 8);
  h.capacity = get_le<std::uint64_t>(b, 12);
  h.grain = get_le<std::uint64_t>(b, 20);
  h.descriptor_at = get_le<std::uint64_t>(b, 28);
  h.descriptor_sectors = get_le<std::uint64_t>(b, 36);
  h.table_entries = get_le<std::uint32_t>(b, 44);
  h.redundant_at = (h.flags & redundant_directory) != 0 ? get_le<std::uint64_t>(b, 48) : 0;
  h.directory_at = get_le<std::uint64_t>(b, 56);
  h.overhead = get_le<std::uint64_t>(b, 64);
  if (h.redundant_at == h.directory_at) h.redundant_at = 0;  // FreeBSD's mkimg names the one that it writes twice
  h.unclean = b[72] != std::byte{0};
  h.compression = get_le<std::uint16_t>(b, 77);
  return h;
}

/// What both kinds of header have: how the disk is cut into grains and tables.
class Check {
 public:
  Check(const File& file, const char* name) : file_(file), name_(name), file_sectors_(file.size() / sector) {}

  void geometry(Header& h, unsigned grain_field, std::uint64_t smallest_grain) const {
    if (!std::has_single_bit(h.grain) || h.grain < smallest_grain || h.grain > max_grain)
      throw bad(grain_field, h.cowd ? 4 : 8, "a grain size of " + std::to_string(h.grain) + " sectors");
    if (h.capacity > most_sectors) throw too_large(h);
    const std::uint64_t span = h.table_span(), needed = h.capacity / span + (h.capacity % span != 0 ? 1 : 0);
    if (needed > max_directory) throw too_large(h);
    h.directory_entries = needed;
  }
  void within(const char* what, std::uint64_t at, std::uint64_t sectors) const {
    const std::uint64_t end = at > most_sectors - sectors ? most_sectors : at + sectors;
    if (end > (file_.size() + sector - 1) / sector)
      throw truncated(file_, std::string("the VMDK ") + what, end * sector);
  }
  Error bad(unsigned from, unsigned length, const std::string& what, std::string_view name = code::damaged) const {
    return damaged(file_, field(name_, from, length) + what, name);
  }
  Error not_read(unsigned from, unsigned length, const std::string& what) const {
    return refused(file_.path().string() + " is a VMDK of a kind that kiln does not read",
                   "convert it with the program that wrote it", {field(name_, from, length) + what})
        .as(code::unsupported);
  }

 private:
  Error too_large(const Header& h) const {
    return bad(12, h.cowd ? 4 : 8,
               "a capacity of " + std::to_string(h.capacity) + " sectors in grains of " + std::to_string(h.grain),
               code::invalid_size);
  }

  const File& file_;
  const char* name_;
  std::uint64_t file_sectors_;
};

void check_hosted(const File& file, Header& h, Bytes b, const char* name) {
  const Check check(file, name);
  if (h.version < 1 || h.version > 3) throw check.not_read(4, 4, "version " + std::to_string(h.version));
  if ((h.flags & newline_detection) != 0 && std::memcmp(b.data() + 73, newlines.data(), newlines.size()) != 0)
    throw check.bad(73, 4, "line ends were changed: the file was transferred as text, not as binary");
  if ((h.flags & incompatible & ~(compressed_grains | has_markers)) != 0)
    throw check.not_read(8, 4, "flags " + hex(h.flags));
  if (h.compression > 1) throw check.not_read(77, 2, "compression " + std::to_string(h.compression));
  if ((h.compression == 1) != h.is_compressed())
    throw check.bad(77, 2, "compression " + std::to_string(h.compression) + " and flags " + hex(h.flags));
  if (((h.flags & has_markers) != 0) != h.is_compressed())
    throw check.not_read(8, 4, "flags " + hex(h.flags) + ": markers and compressed grains go together");
  if (!std::has_single_bit(h.table_entries) || h.table_entries < min_table || h.table_entries > max_table)
    throw check.bad(44, 4, "grain tables of " + std::to_string(h.table_entries) + " entries");
  check.geometry(h, 20, 8);
  if (h.descriptor_at != 0 && h.descriptor_sectors > max_descriptor / sector)
    throw check.bad(36, 8, "a descriptor of " + std::to_string(h.descriptor_sectors) + " sectors");
  if (h.descriptor_at != 0) check.within("descriptor", h.descriptor_at, h.descriptor_sectors);
}

void check_places(const File& file, const Header& h, const char* name) {
  const Check check(file, name);
  if (h.directory_at == 0 && h.directory_entries != 0) throw check.bad(h.cowd ? 20 : 56, 4, "no grain directory");
  check.within("grain directory", h.directory_at, h.directory_sectors());
  if (h.redundant_at != 0) check.within("redundant grain directory", h.redundant_at, h.directory_sectors());
  if (!h.cowd) check.within("header's overhead", h.overhead, 0);
}

/// "Stream-Optimized Compressed": the footer is the header again, with the place of the directory.
void read_footer(const File& file, Header& h) {
  if (!h.is_compressed())
    throw damaged(file, field("VMDK header", 56, 8) + "the directory is at the end, without markers");
  const std::uint64_t size = file.size(), tail = footer_sectors * sector;
  std::array<std::byte, footer_sectors * sector> bytes{};
  if (size < tail + sector) throw truncated(file, "the VMDK footer", tail + sector);
  file.read_at(size - tail, bytes);
  const Bytes mark = Bytes(bytes).first(sector), foot = Bytes(bytes).subspan(sector, sector),
              end = Bytes(bytes).subspan(2 * sector);
  const auto is_marker = [](Bytes b, Marker type) {
    return get_le<std::uint32_t>(b, 8) == 0 && get_le<std::uint32_t>(b, 12) == type;
  };
  if (size % sector != 0 || !is_marker(mark, footer) || !is_hosted_sparse(foot) || !is_marker(end, end_of_stream) ||
      get_le<std::uint64_t>(end, 0) != 0)
    throw Error(file.path().string() + " is truncated", "get a complete copy of the file",
                {"VMDK footer: the header says that the directory is at the end, and the last " + std::to_string(tail) +
                 " bytes are no footer"})
        .as(code::truncated);
  Header f = decode(foot);
  check_hosted(file, f, foot, "VMDK footer");
  const auto same = [&](const char* what, std::uint64_t a, std::uint64_t b) {
    if (a != b)
      throw damaged(file, std::string("VMDK footer: ") + what + " " + std::to_string(b) + ", and the header says " +
                              std::to_string(a));
  };
  same("version", h.version, f.version);
  same("flags", h.flags, f.flags);
  same("capacity", h.capacity, f.capacity);
  same("grain size", h.grain, f.grain);
  same("descriptor offset", h.descriptor_at, f.descriptor_at);
  same("descriptor size", h.descriptor_sectors, f.descriptor_sectors);
  same("grain table entries", h.table_entries, f.table_entries);
  if (f.directory_at == at_end) throw damaged(file, field("VMDK footer", 56, 8) + "the directory is at the end, again");
  f.unclean = f.unclean || h.unclean;
  f.from_footer = true;
  h = f;
}

Header read_cowd(const File& file, Bytes b) {
  const char* const name = "COWD header";
  const Check check(file, name);
  Header h;
  h.cowd = true;
  h.version = get_le<std::uint32_t>(b, 4);
  h.capacity = get_le<std::uint32_t>(b, 12);
  h.grain = get_le<std::uint32_t>(b, 16);
  h.directory_at = get_le<std::uint32_t>(b, 20);
  h.table_entries = cowd_table_entries;
  h.overhead = cowd_header_sectors;
  h.unclean = get_le<std::uint32_t>(b, cowd_unclean) != 0;
  if (h.version != 1) throw check.not_read(4, 4, "version " + std::to_string(h.version));
  if (h.capacity == 0) throw check.bad(12, 4, "a capacity of 0", code::invalid_size);
  check.geometry(h, 16, 1);
  if (get_le<std::uint32_t>(b, 24) < h.directory_entries)
    throw check.bad(24, 4,
                    "a grain directory of " + std::to_string(get_le<std::uint32_t>(b, 24)) + " entries for " +
                        std::to_string(h.directory_entries) + " tables");
  check_places(file, h, name);
  return h;
}

bool starts_with(Bytes b, std::string_view mark) {
  return b.size() >= mark.size() && std::memcmp(b.data(), mark.data(), mark.size()) == 0;
}

}  // namespace

bool is_hosted_sparse(Bytes head) {
  return starts_with(head, "KDMV");
}

bool is_host_sparse(Bytes head) {
  return starts_with(head, "COWD");
}

bool is_se_sparse(Bytes head) {
  return head.size() >= 16 && get_le<std::uint64_t>(head, 0) == 0xcafebabe &&
         get_le<std::uint64_t>(head, 8) == 0x0000000200000001;
}

Header read_header(const File& file) {
  std::array<std::byte, cowd_header_sectors * sector> first{};
  const std::size_t got = file.read_some(0, first);
  const bool cowd = is_host_sparse(first);
  if (got < (cowd ? first.size() : sector)) throw truncated(file, "the VMDK header", cowd ? first.size() : sector);
  if (cowd) return read_cowd(file, first);
  if (!is_hosted_sparse(first)) throw damaged(file, "bytes 0..3: neither \"KDMV\" nor \"COWD\"", code::format_mismatch);
  Header h = decode(first);
  const Bytes b = Bytes(first).first(sector);
  if (h.capacity == 0 && h.descriptor_at != 0)
    throw refused(file.path().string() + " leaves its content to what its descriptor names",
                  "convert it with the program that wrote it",
                  {field("VMDK header", 12, 8) + "a capacity of 0, with a descriptor at sector " +
                   std::to_string(h.descriptor_at)})
        .as(code::external_extent);
  if (h.capacity == 0) throw damaged(file, field("VMDK header", 12, 8) + "a capacity of 0", code::invalid_size);
  check_hosted(file, h, b, "VMDK header");
  if (h.directory_at == at_end) read_footer(file, h);
  check_places(file, h, h.from_footer ? "VMDK footer" : "VMDK header");
  return h;
}

std::array<std::byte, sector> encode(const Header& h) {
  std::array<std::byte, sector> b{};
  std::memcpy(b.data(), "KDMV", 4);
  put_le(b, 4, h.version);
  put_le(b, 8, h.flags);
  put_le(b, 12, h.capacity);
  put_le(b, 20, h.grain);
  put_le(b, 28, h.descriptor_at);
  put_le(b, 36, h.descriptor_sectors);
  put_le(b, 44, h.table_entries);
  put_le(b, 48, h.redundant_at);
  put_le(b, 56, h.directory_at);
  put_le(b, 64, h.overhead);
  std::memcpy(b.data() + 73, newlines.data(), newlines.size());
  put_le(b, 77, h.compression);
  return b;
}

std::array<std::byte, sector> encode_marker(Marker type, std::uint64_t sectors) {
  std::array<std::byte, sector> b{};
  put_le(b, 0, sectors);
  put_le<std::uint32_t>(b, 12, type);
  return b;
}

}  // namespace kiln::vmdk
