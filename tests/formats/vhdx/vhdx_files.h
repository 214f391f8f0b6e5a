#pragma once
// VHDX files for the tests, and how to tamper with them so that their checksums fit again.

#include <kiln/hash.h>

#include <boost/crc.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "disk/pump.h"
#include "support/disks.h"
#include "support/plugins.h"
#include "support/refusals.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

inline const Format& vhdx() {
  static const Format& format = load_format("vhdx");
  return format;
}

inline std::string why_not(const std::filesystem::path& file) {
  return why_not(vhdx(), file);
}

/// Writes a raw disk with kiln. `block_size` 0: the default.
inline void write_vhdx(const std::filesystem::path& raw, const std::filesystem::path& out,
                       std::uint64_t block_size = 0) {
  const RawDisk disk(raw);
  const auto sink = vhdx().create_with(out, disk.size(), {{"block_size", Value{Bytes{block_size}}}});
  BlockSink* const sinks[] = {sink.get()};
  pump(disk, sinks);
  sink->finish();
}

/// What qemu-img reads, as a raw file beside it.
inline std::filesystem::path as_qemu_reads(const std::filesystem::path& file) {
  const std::filesystem::path out = file.string() + ".qemu";
  std::filesystem::remove(out);
  qemu_to_raw(file, "vhdx", out);
  return out;
}

/// Sets the CRC-32C of a structure.
inline void seal(std::span<std::byte> bytes) {
  put_le<std::uint32_t>(bytes, 4, 0);
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  put_le<std::uint32_t>(bytes, 4, crc.checksum());
}

/// Changes a structure of `size` bytes at `offset` and makes its checksum fit.
inline void edit(const std::filesystem::path& path, std::uint64_t offset, std::size_t size,
                 const std::function<void(std::span<std::byte>)>& change) {
  File file = File::open_write(path);
  std::vector<std::byte> bytes(size);
  file.read_at(offset, bytes);
  change(bytes);
  seal(bytes);
  file.write_at(offset, bytes);
}

/// Changes both headers / both region tables.
inline void edit_headers(const std::filesystem::path& path, const std::function<void(std::span<std::byte>)>& change) {
  for (const std::uint64_t at : {64u << 10, 128u << 10}) edit(path, at, 4096, change);
}
inline void edit_regions(const std::filesystem::path& path, const std::function<void(std::span<std::byte>)>& change) {
  for (const std::uint64_t at : {192u << 10, 256u << 10}) edit(path, at, 64 << 10, change);
}

/// Where kiln's writer puts the regions.
inline constexpr std::uint64_t log_at = 1 << 20, metadata_at = 2 << 20, table_at = 3 << 20, blocks_at = 4 << 20;

/// An entry of a log, to be written.
struct LogEntry {
  std::uint64_t sequence = 1;
  std::uint64_t at = 0, tail = 0;                                           ///< bytes from the log's start
  std::vector<std::pair<std::uint64_t, std::uint64_t>> zeros = {};          ///< offset, length
  std::vector<std::pair<std::uint64_t, std::vector<std::byte>>> data = {};  ///< offset, 4096 bytes
  std::uint64_t flushed_size = 0, last_size = 0;                            ///< 0: the file's
};

inline std::array<std::byte, 16> log_guid(std::uint8_t n) {
  std::array<std::byte, 16> id;
  id.fill(std::byte{n});
  return id;
}

/// Tells in both headers that the log is in use.
inline void use_log(const std::filesystem::path& file, std::uint8_t n = 7) {
  edit_headers(file, [&](std::span<std::byte> h) { std::ranges::copy(log_guid(n), h.begin() + 48); });
}

/// Writes the entry into the log of 1 MiB at `log_at`, around its end where it must. Returns where the next one goes.
inline std::uint64_t write_entry(const std::filesystem::path& path, const LogEntry& entry, std::uint8_t n = 7) {
  constexpr std::uint64_t sector = 4096, log_size = 1 << 20;
  const std::size_t count = entry.zeros.size() + entry.data.size();
  const std::size_t data_at = (64 + 32 * count + sector - 1) / sector * sector;
  std::vector<std::byte> bytes(data_at + entry.data.size() * sector);
  const std::span<std::byte> all(bytes);
  const auto mark = [&](std::size_t at, const char* text) { std::memcpy(bytes.data() + at, text, 4); };
  const std::uint64_t size = std::filesystem::file_size(path);
  mark(0, "loge");
  put_le<std::uint32_t>(all, 8, static_cast<std::uint32_t>(bytes.size()));
  put_le<std::uint32_t>(all, 12, static_cast<std::uint32_t>(entry.tail));
  put_le<std::uint64_t>(all, 16, entry.sequence);
  put_le<std::uint32_t>(all, 24, static_cast<std::uint32_t>(count));
  std::ranges::copy(log_guid(n), bytes.begin() + 32);
  put_le<std::uint64_t>(all, 48, entry.flushed_size != 0 ? entry.flushed_size : size);
  put_le<std::uint64_t>(all, 56, entry.last_size != 0 ? entry.last_size : size);
  std::size_t d = 64, s = data_at;
  for (const auto& [offset, length] : entry.zeros) {
    mark(d, "zero");
    put_le<std::uint64_t>(all, d + 8, length);
    put_le<std::uint64_t>(all, d + 16, offset);
    put_le<std::uint64_t>(all, d + 24, entry.sequence);
    d += 32;
  }
  for (const auto& [offset, content] : entry.data) {
    mark(d, "desc");
    std::memcpy(bytes.data() + d + 4, content.data() + sector - 4, 4);
    std::memcpy(bytes.data() + d + 8, content.data(), 8);
    put_le<std::uint64_t>(all, d + 16, offset);
    put_le<std::uint64_t>(all, d + 24, entry.sequence);
    mark(s, "data");
    put_le<std::uint32_t>(all, s + 4, static_cast<std::uint32_t>(entry.sequence >> 32));
    std::memcpy(bytes.data() + s + 8, content.data() + 8, sector - 12);
    put_le<std::uint32_t>(all, s + sector - 4, static_cast<std::uint32_t>(entry.sequence));
    d += 32;
    s += sector;
  }
  seal(all);
  File file = File::open_write(path);
  const std::uint64_t straight = std::min<std::uint64_t>(bytes.size(), log_size - entry.at);
  file.write_at(log_at + entry.at, all.first(straight));
  file.write_at(log_at, all.subspan(straight));
  return (entry.at + bytes.size()) % log_size;
}

/// `count` sectors of 4 KiB of a file, as the data of a log entry.
inline std::vector<std::byte> sectors_of(const std::filesystem::path& file, std::uint64_t at, std::size_t count = 1) {
  std::vector<std::byte> bytes(4096 * count);
  File::open_read(file).read_at(at, bytes);
  return bytes;
}

}  // namespace kiln::test
