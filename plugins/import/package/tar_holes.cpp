#include "package/tar_holes.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include <kiln/finding.h>

namespace kiln::import {
namespace {

constexpr std::uint64_t block = 512;
// Offsets within a header, POSIX.1-2017 "ustar" and GNU tar's "struct oldgnu_header", "struct sparse_header".
constexpr std::size_t type_at = 156, size_at = 124, size_digits = 12, more_at = 482, more_in_extension_at = 504;
constexpr std::uint64_t most_runs = 100'000, runs_in_extension = 21, longest_words = 1 << 20;
constexpr int most_prefixes = 8;
constexpr char gnu_sparse = 'S';
// Files, links, devices, folders; and what says more of the header behind it: pax words, GNU's long names.
constexpr std::string_view plain_types("\00001234567", 9), prefix_types("xgLK");

using Block = std::array<char, block>;

bool read_block(const File& file, std::uint64_t at, Block& into) {
  return file.read_some(at, std::as_writable_bytes(std::span(into))) == into.size();
}

Error refused_header(const File& file, std::uint64_t header, const std::string& proof) {
  return refused(file.path().string() + " has a member that kiln does not understand",
                 "ask whoever made it for an archive of plain files",
                 {"tar header at byte " + std::to_string(header) + ": " + proof})
      .as(code::archive);
}

Error refused_map(const File& file, std::uint64_t header, const std::string& proof) {
  return refused(file.path().string() + " has a member with holes, which the archive leaves out",
                 "unpack it with tar -xSf, and import the disk that is in it",
                 {"tar header at byte " + std::to_string(header) + ": " + proof})
      .as(code::archive);
}

/// How much follows the header: octal digits, or GNU's big-endian number that begins with a set bit.
std::uint64_t follows(const Block& header) {
  std::string_view digits(header.data() + size_at, size_digits);
  if ((static_cast<unsigned char>(digits.front()) & 0x80) != 0) {
    if (digits.front() != '\x80' || digits.substr(1, 3) != std::string_view("\0\0\0", 3)) return UINT64_MAX;
    std::uint64_t number = 0;
    for (const char c : digits.substr(4)) number = number << 8 | static_cast<unsigned char>(c);
    return number;
  }
  digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
  std::uint64_t size = UINT64_MAX;
  std::from_chars(digits.data(), digits.data() + digits.size(), size, 8);
  return size;
}

void check_extensions(const File& file, std::uint64_t header, Block block_read) {
  std::uint64_t at = header, runs = 0;
  for (std::size_t flag = more_at; block_read[flag] != 0; flag = more_in_extension_at) {
    at += block;
    runs += runs_in_extension;
    if (runs > most_runs)
      throw refused_map(file, header, "its map has more than " + std::to_string(most_runs) + " runs");
    if (!read_block(file, at, block_read)) throw truncated(file, "the map of a member with holes", at + block);
  }
}

/// pax words or a long name before the header itself. Returns where the next header is.
std::uint64_t skip_words(const File& file, std::uint64_t at, const Block& header) {
  const std::uint64_t size = follows(header);
  if (size > longest_words)
    throw refused_header(file, at, "its words have more than " + std::to_string(longest_words) + " bytes");
  std::string words(size, '\0');
  file.read_some(at + block, std::as_writable_bytes(std::span(words)));
  if (words.find("GNU.sparse.") != std::string::npos) throw refused_map(file, at, "GNU.sparse of a pax header");
  return at + block + (size + block - 1) / block * block;
}

class HoledMember final : public BlockReader {
 public:
  HoledMember(File archive, std::vector<TarRun> runs, std::uint64_t size)
      : archive_(std::move(archive)), runs_(std::move(runs)), size_(size) {}

  std::uint64_t size() const override { return size_; }

  Extent extent_at(std::uint64_t offset) const override {
    const auto run = after(offset);
    if (run == runs_.end()) return {offset, size_ - offset, false};
    if (run->offset > offset) return {offset, run->offset - offset, false};
    return {offset, run->offset + run->length - offset, true};
  }

  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::ranges::fill(into, std::byte{0});
    for (auto run = after(offset); run != runs_.end() && run->offset < offset + into.size(); ++run) {
      const std::uint64_t from = std::max(offset, run->offset);
      const std::uint64_t to = std::min(offset + into.size(), run->offset + run->length);
      archive_.read_at(run->at + (from - run->offset), into.subspan(from - offset, to - from));
    }
  }

 private:
  /// The first run that ends behind `offset`.
  std::vector<TarRun>::const_iterator after(std::uint64_t offset) const {
    return std::ranges::upper_bound(runs_, offset, {}, [](const TarRun& run) { return run.offset + run.length; });
  }

  File archive_;
  std::vector<TarRun> runs_;
  std::uint64_t size_;
};

}  // namespace

std::optional<std::uint64_t> check_map(const File& file, std::uint64_t at) {
  Block header{};
  for (int i = 0; i < most_prefixes && read_block(file, at, header); ++i) {
    const char type = header[type_at];
    if (type == gnu_sparse) {
      check_extensions(file, at, header);
      return follows(header);
    }
    if (plain_types.find(type) != std::string_view::npos) return std::nullopt;
    if (prefix_types.find(type) == std::string_view::npos)
      throw refused_header(file, at, "its type is of no plain file");
    at = skip_words(file, at, header);
  }
  if (at > file.size() || file.size() - at < block) return std::nullopt;  // whoever reads it finds out
  throw refused_header(file, at, "more than " + std::to_string(most_prefixes) + " headers before it");
}

std::vector<TarRun> runs_of(const File& file, archive_entry* entry, std::uint64_t at, std::uint64_t stored) {
  std::vector<TarRun> runs;
  const auto size = static_cast<std::uint64_t>(std::max<la_int64_t>(::archive_entry_size(entry), 0));
  std::uint64_t end = 0, sum = 0;
  la_int64_t offset = 0, length = 0;
  // One run of everything is no map to libarchive, which has forgotten it then: to ask for it reads freed memory.
  const bool has_map = ::archive_entry_sparse_reset(entry) > 0;
  if (!has_map && size == stored && size != 0) return {{0, size, at}};
  while (has_map && ::archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK) {
    const TarRun run{static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length), at};
    if (offset < 0 || length < 0 || run.offset < end || run.offset > size || run.length > size - run.offset)
      throw damaged(file,
                    "the map of a member with holes: run at " + std::to_string(offset) + " of " +
                        std::to_string(length) + " bytes, of " + std::to_string(size),
                    code::archive);
    end = run.offset + run.length;
    at += run.length;
    sum += run.length;
    if (run.length != 0) runs.push_back(run);
  }
  // libarchive leaves out runs that are out of order.
  if (sum != stored)
    throw damaged(file,
                  "the map of a member with holes: runs of " + std::to_string(sum) + " bytes, stored are " +
                      std::to_string(stored),
                  code::archive);
  return runs;
}

std::shared_ptr<const BlockReader> open_holed(File archive, std::vector<TarRun> runs, std::uint64_t size) {
  return std::make_shared<HoledMember>(std::move(archive), std::move(runs), size);
}

}  // namespace kiln::import
