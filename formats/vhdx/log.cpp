#include "log.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include <kiln/endian.h>

#include "checksum.h"

namespace kiln::vhdx {
namespace {

constexpr std::uint64_t sector = Overlay::sector;
constexpr std::uint64_t most_log = 64 * mib;  // Hyper-V's and QEMU's have 1 MiB
constexpr std::uint64_t entry_header = 64, descriptor_size = 32;
constexpr std::uint64_t checked_at_most = 4;  // times the log's size; entries of a log do not overlap
constexpr std::size_t none = SIZE_MAX;

/// 2.3.1.1 "Entry Header".
struct Entry {
  std::uint64_t at = 0;  ///< within the log
  std::uint64_t length = 0, tail = 0, sequence = 0, descriptors = 0, flushed_size = 0, last_size = 0;

  std::uint64_t data_at() const noexcept {
    return (entry_header + descriptors * descriptor_size + sector - 1) / sector * sector;
  }
};

bool starts_with(std::span<const std::byte> bytes, std::string_view mark) {
  return std::memcmp(bytes.data(), mark.data(), mark.size()) == 0;
}

class Log {
 public:
  Log(const File& file, const Header& header) : file_(file), header_(header), bytes_(header.log_length) {
    file_.read_at(header.log_at, bytes_);
    by_sector_.assign(bytes_.size() / sector, none);
    for (std::uint64_t at = 0; at < bytes_.size(); at += sector)
      if (const std::optional<Entry> entry = valid_entry(at)) {
        by_sector_[at / sector] = entries_.size();
        entries_.push_back(*entry);
      }
  }

  Replay replay() const;

 private:
  std::optional<Entry> valid_entry(std::uint64_t at);
  bool descriptors_fit(const Entry&) const;
  std::vector<std::size_t> heads() const;
  std::size_t active_head(const std::vector<std::size_t>& heads) const;
  std::size_t next(std::size_t entry) const {
    return by_sector_[(entries_[entry].at + entries_[entry].length) % bytes_.size() / sector];
  }
  void apply(const Entry&, Replay&) const;
  void check_target(const Entry&, std::uint64_t offset, std::uint64_t length) const;

  // The log is circular. What is asked for never crosses a sector's end.
  std::span<const std::byte> bytes(std::uint64_t at, std::uint64_t length) const {
    return std::span(bytes_).subspan(at % bytes_.size(), length);
  }
  std::span<const std::byte> descriptor(const Entry& entry, std::uint64_t i) const {
    return bytes(entry.at + entry_header + i * descriptor_size, descriptor_size);
  }
  Error bad(const Entry& entry, const std::string& fact) const {
    return damaged(file_, "VHDX log, entry " + std::to_string(entry.sequence) + " at byte " +
                              std::to_string(header_.log_at + entry.at) + ": " + fact);
  }

  const File& file_;
  const Header& header_;
  std::vector<std::byte> bytes_;
  std::vector<Entry> entries_;
  std::vector<std::size_t> by_sector_;  ///< the entry that starts in a sector
  std::uint64_t checked_ = 0;           ///< bytes of entries whose checksum was computed
};

std::optional<Entry> Log::valid_entry(std::uint64_t at) {
  const auto b = bytes(at, entry_header);
  if (!starts_with(b, "loge") || !std::ranges::equal(b.subspan(32, 16), header_.log_id)) return {};
  Entry entry{.at = at,
              .length = get_le<std::uint32_t>(b, 8),
              .tail = get_le<std::uint32_t>(b, 12),
              .sequence = get_le<std::uint64_t>(b, 16),
              .descriptors = get_le<std::uint32_t>(b, 24),
              .flushed_size = get_le<std::uint64_t>(b, 48),
              .last_size = get_le<std::uint64_t>(b, 56)};
  if (entry.length == 0 || entry.length % sector != 0 || entry.length > bytes_.size() || entry.tail % sector != 0 ||
      entry.tail >= bytes_.size() || entry.sequence == 0 || entry.data_at() > entry.length)
    return {};
  checked_ += entry.length;
  if (checked_ > checked_at_most * bytes_.size()) throw bad(entry, "entries lie on one another");
  const std::uint64_t straight = std::min<std::uint64_t>(entry.length, bytes_.size() - at);
  if (checksum(bytes(at, straight), bytes(0, entry.length - straight)) != get_le<std::uint32_t>(b, checksum_at))
    return {};
  if (!descriptors_fit(entry)) return {};
  return entry;
}

// 2.3.1.2 "Zero Descriptor", 2.3.1.3 "Data Descriptor", 2.3.1.4 "Data Sector".
bool Log::descriptors_fit(const Entry& entry) const {
  std::uint64_t data = entry.data_at();
  for (std::uint64_t i = 0; i < entry.descriptors; ++i) {
    const auto d = descriptor(entry, i);
    if (get_le<std::uint64_t>(d, 24) != entry.sequence || get_le<std::uint64_t>(d, 16) % sector != 0) return false;
    if (starts_with(d, "zero")) {
      if (get_le<std::uint64_t>(d, 8) % sector != 0) return false;
      continue;
    }
    if (!starts_with(d, "desc") || data == entry.length) return false;
    const auto s = bytes(entry.at + data, sector);
    const std::uint64_t sequence =
        std::uint64_t{get_le<std::uint32_t>(s, 4)} << 32 | get_le<std::uint32_t>(s, sector - 4);
    if (!starts_with(s, "data") || sequence != entry.sequence) return false;
    data += sector;
  }
  return true;
}

// Of each entry the last one of its sequence.
std::vector<std::size_t> Log::heads() const {
  std::vector<std::size_t> order(entries_.size()), heads(entries_.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, std::ranges::greater{}, [&](std::size_t i) { return entries_[i].sequence; });
  for (const std::size_t i : order) {
    const std::size_t after = next(i);
    // Its number is greater, so its head is known already.
    const bool extends = after != none && entries_[after].sequence - 1 == entries_[i].sequence;
    heads[i] = extends ? heads[after] : i;
  }
  return heads;
}

std::size_t Log::active_head(const std::vector<std::size_t>& heads) const {
  std::size_t best = none;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::size_t tail = by_sector_[entries_[i].tail / sector];
    if (heads[i] != i || tail == none || heads[tail] != i) continue;
    if (best == none || entries_[i].sequence > entries_[best].sequence) best = i;
  }
  if (best != none) return best;
  const std::string range = "VHDX log, bytes " + std::to_string(header_.log_at) + ".." +
                            std::to_string(header_.log_at + header_.log_length - 1);
  throw Error(file_.path().string() + " has a log that cannot be replayed",
              "open it once with the program that made it, or get a sound copy of the file",
              {range + ": the header says that it is in use, but it holds no whole sequence of entries (" +
               std::to_string(entries_.size()) + " whole entries)"})
      .as(code::damaged);
}

Replay Log::replay() const {
  const std::vector<std::size_t> all_heads = heads();
  const std::size_t head = active_head(all_heads);
  const Entry& last = entries_[head];
  Replay replay;
  replay.file_size = file_.size();
  if (last.flushed_size > replay.file_size)
    throw truncated(file_, "VHDX log, entry " + std::to_string(last.sequence) + ": the file", last.flushed_size);
  if (last.last_size > largest_file) throw bad(last, "a file of " + std::to_string(last.last_size) + " bytes");
  replay.file_size = std::max(replay.file_size, last.last_size);
  replay.last = last.sequence;
  std::size_t i = by_sector_[last.tail / sector];
  replay.first = entries_[i].sequence;
  for (;; i = next(i)) {
    apply(entries_[i], replay);
    ++replay.entries;
    if (i == head) return replay;
  }
}

void Log::apply(const Entry& entry, Replay& replay) const {
  std::uint64_t data = entry.data_at();
  std::array<std::byte, sector> whole{};
  for (std::uint64_t i = 0; i < entry.descriptors; ++i) {
    const auto d = descriptor(entry, i);
    const auto offset = get_le<std::uint64_t>(d, 16);
    if (starts_with(d, "zero")) {
      const auto length = get_le<std::uint64_t>(d, 8);
      check_target(entry, offset, length);
      replay.overlay.write_zeros(offset, length);
      replay.zeroed += length;
      continue;
    }
    check_target(entry, offset, sector);
    // A data sector has a mark and half of the number at both of its ends; what belongs there is in the descriptor.
    std::ranges::copy(bytes(entry.at + data, sector), whole.begin());
    std::copy_n(d.begin() + 8, 8, whole.begin());
    std::copy_n(d.begin() + 4, 4, whole.end() - 4);
    replay.overlay.write(offset, whole);
    data += sector;
  }
}

// The headers and the log itself are never written through the log.
void Log::check_target(const Entry& entry, std::uint64_t offset, std::uint64_t length) const {
  const std::uint64_t end = std::max(file_.size(), std::min(entry.last_size, largest_file));
  const auto to = [&] { return "it writes " + std::to_string(length) + " bytes at byte " + std::to_string(offset); };
  if (length > end || offset > end - length) throw bad(entry, to() + ", past the file's end");
  if (offset < region_table_at[0] || (offset < header_.log_at + header_.log_length && header_.log_at < offset + length))
    throw bad(entry, to() + ", over a header or the log");
}

}  // namespace

Replay replay_log(const File& file, const Header& header) {
  if (!header.has_log()) return {.overlay = {}, .file_size = file.size()};
  if (header.log_length > most_log)
    throw Error(file.path().string() + " has a log that cannot be replayed",
                "open it once with the program that made it",
                {"VHDX header, bytes 68..71: a log of " + std::to_string(header.log_length) + " bytes, the limit is " +
                 std::to_string(most_log)})
        .as(code::unsupported);
  return Log(file, header).replay();
}

}  // namespace kiln::vhdx
