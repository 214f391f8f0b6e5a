#include "catalog/pack_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include <kiln/block.h>
#include <kiln/endian.h>
#include <kiln/hash.h>

namespace kiln {
namespace {

constexpr std::string_view pack_magic = "KILNPAK1", record_magic = "KCHK", index_magic = "KILNIDX1";
constexpr std::size_t digest_size = sizeof(Digest::bytes);

bool has_magic(std::span<const std::byte> bytes, std::string_view magic) {
  return std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

void put_magic(std::span<std::byte> into, std::string_view magic) {
  std::memcpy(into.data(), magic.data(), magic.size());
}

Digest get_digest(std::span<const std::byte> from) {
  Digest digest;
  std::memcpy(digest.bytes.data(), from.data(), digest_size);
  return digest;
}

std::optional<PackEntry> parse_record(std::span<const std::byte> header, std::uint64_t offset) {
  if (!has_magic(header, record_magic)) return std::nullopt;
  PackEntry entry{get_digest(header.subspan(16)), offset, get_le<std::uint32_t>(header, 4),
                  static_cast<Codec>(header[8])};
  if (entry.stored == 0 || entry.stored > chunk_size || entry.codec > Codec::zstd) return std::nullopt;
  return entry;
}

Digest hash_chunk(std::span<const std::byte> bytes) {
  thread_local Hasher hasher;
  return hasher.update(bytes).digest();
}

}  // namespace

void put_pack_header(std::span<std::byte> into) {
  std::ranges::fill(into.first(pack_header_size), std::byte{0});
  put_magic(into, pack_magic);
}

void put_record_header(std::span<std::byte> into, const PackEntry& entry) {
  std::ranges::fill(into.first(record_header_size), std::byte{0});
  put_magic(into, record_magic);
  put_le<std::uint32_t>(into, 4, entry.stored);
  into[8] = static_cast<std::byte>(entry.codec);
  std::ranges::copy(entry.digest.bytes, into.begin() + 16);
}

std::vector<std::byte> make_record(const Digest& digest, std::span<const std::byte> chunk) {
  std::vector<std::byte> record(record_header_size + chunk_size);
  const EncodedChunk encoded = encode_chunk(chunk, std::span(record).subspan(record_header_size));
  put_record_header(record, {digest, 0, static_cast<std::uint32_t>(encoded.size), encoded.codec});
  record.resize(record_header_size + encoded.size);
  return record;
}

std::string decode_record(std::span<const std::byte> record, const Digest& digest, std::span<std::byte> into) {
  if (record.size() < record_header_size) return "it is cut off";
  const auto entry = parse_record(record.first(record_header_size), 0);
  if (!entry || entry->digest != digest || entry->stored != record.size() - record_header_size)
    return "its record header is damaged";
  if (!decode_chunk(entry->codec, record.subspan(record_header_size), into)) return "it does not decompress";
  return hash_chunk(into) == digest ? "" : "its sha256 does not match";
}

std::vector<std::byte> make_index(std::span<const PackEntry> entries, std::uint64_t offset) {
  std::vector<std::byte> bytes(entries.size() * index_entry_size + pack_footer_size);
  std::span<std::byte> at(bytes);
  for (const PackEntry& entry : entries) {
    std::ranges::copy(entry.digest.bytes, at.begin());
    put_le<std::uint64_t>(at, 32, entry.offset);
    put_le<std::uint32_t>(at, 40, entry.stored);
    at[44] = static_cast<std::byte>(entry.codec);
    at = at.subspan(index_entry_size);
  }
  put_magic(at, index_magic);
  put_le<std::uint64_t>(at, 8, entries.size());
  put_le<std::uint64_t>(at, 16, offset);
  const Digest sum = sha256(std::span<const std::byte>(bytes).first(entries.size() * index_entry_size));
  std::ranges::copy(sum.bytes, at.begin() + 32);
  return bytes;
}

PackFile::PackFile(const std::filesystem::path& path) : file_(File::open_read(path)) {
  ::posix_fadvise(file_.fd(), 0, 0, POSIX_FADV_SEQUENTIAL);
  index_damaged_ = !load_index();
  if (index_damaged_) walk_records();
}

bool PackFile::load_index() {
  const std::uint64_t size = file_.size();
  std::array<std::byte, pack_footer_size> footer{};
  std::array<std::byte, pack_header_size> header{}, expected{};
  if (size < pack_header_size + pack_footer_size) return false;
  put_pack_header(expected);
  file_.read_at(0, header);
  if (header != expected) return false;
  file_.read_at(size - pack_footer_size, footer);
  const auto count = get_le<std::uint64_t>(footer, 8), offset = get_le<std::uint64_t>(footer, 16);
  // The division keeps a damaged count from overflowing.
  if (!has_magic(footer, index_magic) || get_le<std::uint64_t>(footer, 24) != 0 || count > size / index_entry_size ||
      offset != size - pack_footer_size - count * index_entry_size)
    return false;
  std::vector<std::byte> index(count * index_entry_size);
  file_.read_at(offset, index);
  if (sha256(index) != get_digest(std::span(footer).subspan(32))) return false;
  entries_.reserve(count);
  for (std::span<const std::byte> at(index); !at.empty(); at = at.subspan(index_entry_size))
    entries_.push_back(
        {get_digest(at), get_le<std::uint64_t>(at, 32), get_le<std::uint32_t>(at, 40), static_cast<Codec>(at[44])});
  return true;
}

void PackFile::walk_records() {
  std::array<std::byte, record_header_size> header{};
  const std::uint64_t size = file_.size();
  for (std::uint64_t at = pack_header_size; at + record_header_size <= size;) {
    file_.read_at(at, header);
    const auto entry = parse_record(header, at);
    if (!entry || at + record_header_size + entry->stored > size) break;
    entries_.push_back(*entry);
    at += record_header_size + entry->stored;
  }
}

std::string PackFile::try_read(const PackEntry& entry, std::span<std::byte> into) const {
  thread_local std::vector<std::byte> buffer;
  std::span<std::byte> stored = into;
  if (entry.stored > chunk_size) return "the stored length is out of range";
  if (entry.codec != Codec::raw || entry.stored != into.size()) {
    buffer.resize(chunk_size);
    stored = std::span(buffer).first(entry.stored);
  }
  if (file_.read_some(entry.offset + record_header_size, stored) != stored.size()) return "the pack is truncated";
  if (!decode_chunk(entry.codec, stored, into)) return "it does not decompress";
  return hash_chunk(into) == entry.digest ? "" : "its sha256 does not match";
}

void PackFile::read(const PackEntry& entry, std::span<std::byte> into) const {
  if (const std::string why = try_read(entry, into); !why.empty())
    throw Error("chunk sha256:" + to_hex(entry.digest) + " is damaged: " + why,
                "list every image that is harmed: kiln image verify",
                {"pack " + path().string() + ", record at byte " + std::to_string(entry.offset)});
}

std::vector<std::byte> PackFile::record(const PackEntry& entry) const {
  if (!damage(entry).empty()) return {};
  std::vector<std::byte> record(record_header_size + entry.stored);
  file_.read_at(entry.offset, record);
  return record;
}

std::span<const std::byte> PackFile::read_stored(const PackEntry& entry, std::vector<std::byte>& buffer) const {
  thread_local std::vector<std::byte> chunk(chunk_size);
  read(entry, chunk);
  buffer.resize(entry.stored);
  if (entry.codec == Codec::raw)
    std::ranges::copy(chunk, buffer.begin());
  else
    file_.read_at(entry.offset + record_header_size, buffer);
  return buffer;
}

std::string PackFile::damage(const PackEntry& entry) const {
  thread_local std::vector<std::byte> chunk(chunk_size);
  if (const std::string why = try_read(entry, chunk); !why.empty()) return why;
  std::array<std::byte, record_header_size> header{}, expected{};
  put_record_header(expected, entry);
  file_.read_at(entry.offset, header);
  return header == expected ? "" : "its record header is damaged";
}

}  // namespace kiln
