#include "tables.h"

#include <algorithm>
#include <cstring>

#include <kiln/endian.h>

namespace kiln::vmdk {
namespace {

constexpr std::uint64_t tables_at_once = 64;
/// Entries have 32 bits: nothing that two could share lies behind.
constexpr std::uint64_t reachable = (std::uint64_t{1} << 32) + 8192;

std::uint64_t sectors_of(std::uint64_t bytes) {
  return (bytes + sector - 1) / sector;
}

}  // namespace

Tables::Tables(const File& file, const Header& header)
    : file_(file),
      header_(header),
      file_size_(file.size()),
      directory_(read_directory("directory", header.directory_at)),
      redundant_(header.redundant_at != 0 ? read_directory("redundant directory", header.redundant_at)
                                          : std::vector<std::uint32_t>()),
      used_(directory_.size()) {}

std::vector<std::uint32_t> Tables::read_directory(const char* what, std::uint64_t at) const {
  std::vector<std::uint32_t> entries(static_cast<std::size_t>(header_.directory_entries));
  const auto bytes = std::as_writable_bytes(std::span(entries));
  file_.read_at(at * sector, bytes);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i] = get_le<std::uint32_t>(bytes, i * 4);
    if (entries[i] == 0) continue;
    const std::uint64_t end = entries[i] * sector + header_.table_bytes();
    if (end > file_size_)
      throw truncated(file_, std::string("the VMDK grain table of ") + what + " entry " + std::to_string(i), end);
  }
  return entries;
}

std::shared_ptr<const Table> Tables::table(std::uint64_t number) const {
  if (directory_[number] == 0) return nullptr;
  Shard& shard = shards_[number % shards_.size()];
  {
    const std::scoped_lock lock(shard.mutex);
    for (Slot& slot : shard.slots)
      if (slot.number == number) {
        slot.used = ++shard.clock;
        return slot.table;
      }
  }
  auto entries = std::make_shared<Table>(header_.table_entries);
  const auto bytes = std::as_writable_bytes(std::span(*entries));
  file_.read_at(directory_[number] * sector, bytes);
  for (std::size_t i = 0; i < entries->size(); ++i) (*entries)[i] = get_le<std::uint32_t>(bytes, i * 4);
  const std::scoped_lock lock(shard.mutex);
  Slot& oldest = *std::ranges::min_element(shard.slots, {}, &Slot::used);
  oldest = {number, ++shard.clock, entries};
  return entries;
}

std::unique_ptr<Claims> Tables::check() {
  const std::uint64_t all = std::min(sectors_of(file_size_), reachable);
  std::unique_ptr<Claims> claims;
  for (std::uint64_t first = 0; first < all; first += Claims::most) {
    claims.reset();  // before the next one takes memory
    claims = std::make_unique<Claims>(first, std::min(Claims::most, all - first));
    check_window(*claims, first == 0);
  }
  for (std::size_t i = 0; i < used_.size(); ++i)
    if (!used_[i]) directory_[i] = 0;
  if (all > Claims::most) claims.reset();
  return claims;
}

void Tables::check_window(Claims& claims, bool first) {
  claim_metadata(claims);
  std::vector<std::byte> bytes, redundant;
  for (std::uint64_t number = 0; number < directory_.size();) {
    const std::uint64_t run = run_of_tables(number), size = header_.table_bytes();
    if (directory_[number] != 0 && !is_hole(directory_, number, run)) {
      bytes.resize(run * size);
      file_.read_at(directory_[number] * sector, bytes);
      if (first && !redundant_.empty()) {
        redundant.resize(run * size);
        file_.read_at(redundant_[number] * sector, redundant);
        // A machine that was not closed may not have come to the second ones.
        if (redundant != bytes && !header_.unclean)
          throw damaged(file_, "VMDK grain tables from " + std::to_string(number) + " on, at sectors " +
                                   std::to_string(directory_[number]) + " and " + std::to_string(redundant_[number]) +
                                   ": the redundant ones do not say the same");
      }
      for (std::uint64_t i = 0; i < run; ++i)
        check_table(claims, number + i, std::span(bytes).subspan(i * size, size), first);
    }
    number += run;
  }
}

/// Programs that give every table its place leave holes where the disk is empty.
bool Tables::is_hole(const std::vector<std::uint32_t>& directory, std::uint64_t from, std::uint64_t run) const {
  const std::uint64_t at = directory[from] * sector, end = at + run * header_.table_bytes();
  return file_.seek(at, true) >= end &&
         (redundant_.empty() || &directory == &redundant_ || is_hole(redundant_, from, run));
}

/// How many tables from `from` on lie behind each other, or are absent.
std::uint64_t Tables::run_of_tables(std::uint64_t from) const {
  const std::uint64_t most = std::min<std::uint64_t>(directory_.size() - from, tables_at_once);
  std::uint64_t run = 1;
  const auto follows = [&](const std::vector<std::uint32_t>& directory) {
    const std::uint64_t step = directory[from] != 0 ? run * header_.table_sectors() : 0;
    return directory[from + run] == directory[from] + step;
  };
  while (run < most && follows(directory_) && (redundant_.empty() || follows(redundant_))) ++run;
  return run;
}

void Tables::claim_metadata(Claims& claims) const {
  const auto claim = [&](const char* what, std::uint64_t at, std::uint64_t count) {
    if (!claims.take(at, count))
      throw damaged(file_,
                    std::string("the VMDK ") + what + " at sector " + std::to_string(at) + " overlaps other metadata",
                    code::overlap);
  };
  claim("header", 0, header_.cowd ? header_.overhead : header_sectors);
  if (header_.descriptor_at != 0) claim("descriptor", header_.descriptor_at, header_.descriptor_sectors);
  claim("grain directory", header_.directory_at, header_.directory_sectors());
  if (header_.from_footer) claim("footer", file_size_ / sector - footer_sectors, footer_sectors);
  claim_tables(claims, "directory", directory_);
  if (redundant_.empty()) return;
  claim("redundant grain directory", header_.redundant_at, header_.directory_sectors());
  claim_tables(claims, "redundant directory", redundant_);
}

void Tables::claim_tables(Claims& claims, const char* what, const std::vector<std::uint32_t>& directory) const {
  for (std::size_t i = 0; i < directory.size(); ++i) {
    if (!redundant_.empty() && (directory_[i] == 0) != (redundant_[i] == 0))
      throw damaged(file_, "VMDK grain directory entry " + std::to_string(i) + ": sector " +
                               std::to_string(directory_[i]) + ", the redundant one says " +
                               std::to_string(redundant_[i]));
    if (directory[i] != 0 && !claims.take(directory[i], header_.table_sectors()))
      throw damaged(file_,
                    std::string("the VMDK grain table of ") + what + " entry " + std::to_string(i) + ", at sector " +
                        std::to_string(directory[i]) + ", overlaps other metadata",
                    code::overlap);
  }
}

void Tables::check_table(Claims& claims, std::uint64_t number, std::span<const std::byte> bytes, bool first) {
  const std::uint64_t begin = number * header_.table_entries;
  const std::uint64_t all = (header_.capacity + header_.grain - 1) / header_.grain;
  const std::uint64_t count = std::min<std::uint64_t>(header_.table_entries, all - begin);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = get_le<std::uint32_t>(bytes, i * 4);
    if (header_.is_zero(entry)) continue;
    check_entry(claims, begin + i, entry);
    if (!first) continue;
    ++grains_;
    used_[static_cast<std::size_t>(number)] = true;
    highest_ = std::max(highest_, entry);
  }
}

void Tables::check_entry(Claims& claims, std::uint64_t grain, std::uint32_t entry) const {
  // The disk may end within its last grain, and the file with it.
  const std::uint64_t used =
      header_.is_compressed() ? 1 : std::min(header_.grain, header_.capacity - grain * header_.grain);
  const auto name = [&] { return "the VMDK grain of disk offset " + hex(grain * header_.grain_bytes()); };
  if (header_.is_compressed() ? entry * sector >= file_size_ : (entry + used) * sector > file_size_)
    throw truncated(file_, name(), (entry + used) * sector);
  if (!claims.take(entry, used))
    throw damaged(file_, name() + ", at sector " + std::to_string(entry) + ", overlaps metadata or another grain",
                  code::overlap);
}

}  // namespace kiln::vmdk
