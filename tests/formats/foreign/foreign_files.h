#pragma once
// Containers that qemu-img does not write, made by hand, and files with bytes changed.

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <kiln/endian.h>
#include <kiln/file.h>

namespace kiln::test {

using Bytes = std::vector<std::byte>;

inline void put_text(Bytes& into, std::size_t at, std::string_view text) {
  std::memcpy(into.data() + at, text.data(), text.size());
}

inline void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

inline void write_bytes(const std::filesystem::path& file, const Bytes& bytes) {
  std::filesystem::remove(file);
  File::create(file).write_at(0, bytes);
}

/// Puts a little-endian or big-endian number into a file that is there.
template <class T>
void patch_le(const std::filesystem::path& file, std::uint64_t at, T value) {
  Bytes bytes(sizeof value);
  put_le(std::span(bytes), 0, value);
  File::open_write(file).write_at(at, bytes);
}
template <class T>
void patch_be(const std::filesystem::path& file, std::uint64_t at, T value) {
  Bytes bytes(sizeof value);
  put_be(std::span(bytes), 0, value);
  File::open_write(file).write_at(at, bytes);
}

inline Bytes deflated(std::span<const std::byte> from) {
  uLongf size = compressBound(from.size());
  Bytes out(size);
  if (compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(from.data()), from.size()) !=
      Z_OK)
    throw std::runtime_error("zlib does not compress");
  out.resize(size);
  return out;
}

/// A growing Bochs disk of the second version with extents of 1 MiB; those that are zeros are not there. The extents
/// lie in the file from the last to the first.
inline Bytes bochs_disk(const Bytes& disk) {
  constexpr std::size_t extent = 1u << 20, bitmap = extent / 512 / 8;
  const std::size_t entries = (disk.size() + extent - 1) / extent;
  Bytes file(512 + entries * 4);
  put_text(file, 0, "Bochs Virtual HD Image");
  put_text(file, 32, "Redolog");
  put_text(file, 48, "Growing");
  put_le<std::uint32_t>(file, 64, 0x20000);
  put_le<std::uint32_t>(file, 68, 512);
  put_le<std::uint32_t>(file, 72, static_cast<std::uint32_t>(entries));
  put_le<std::uint32_t>(file, 76, bitmap);
  put_le<std::uint32_t>(file, 80, extent);
  put_le<std::uint64_t>(file, 88, disk.size());
  std::uint32_t slot = 0;
  for (std::size_t i = entries; i-- > 0;) {
    Bytes data(disk.begin() + static_cast<std::ptrdiff_t>(i * extent),
               disk.begin() + static_cast<std::ptrdiff_t>(std::min(disk.size(), (i + 1) * extent)));
    const bool zeros = std::ranges::all_of(data, [](std::byte b) { return b == std::byte{0}; });
    put_le<std::uint32_t>(file, 512 + i * 4, zeros ? 0xffffffff : slot);
    if (zeros) continue;
    ++slot;
    data.resize(extent);
    append(file, Bytes(512, std::byte{0xff}));  // its bitmap of 256 bytes takes a sector
    append(file, data);
  }
  return file;
}

/// A cloop disk of the second version.
inline Bytes cloop_disk(const Bytes& disk, std::size_t block = 65536) {
  const std::size_t count = (disk.size() + block - 1) / block;
  Bytes file(136 + (count + 1) * 8);
  put_text(file, 0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n");
  put_be<std::uint32_t>(file, 128, static_cast<std::uint32_t>(block));
  put_be<std::uint32_t>(file, 132, static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    put_be<std::uint64_t>(file, 136 + i * 8, file.size());
    append(file, deflated(std::span(disk).subspan(i * block, std::min(block, disk.size() - i * block))));
  }
  put_be<std::uint64_t>(file, 136 + count * 8, file.size());
  return file;
}

/// One run of a DMG disk.
inline void put_run(Bytes& list, std::size_t at, std::uint32_t type, std::uint64_t sector, std::uint64_t sectors,
                    std::uint64_t offset, std::uint64_t length) {
  put_be<std::uint32_t>(list, at, type);
  put_be<std::uint64_t>(list, at + 8, sector);
  put_be<std::uint64_t>(list, at + 16, sectors);
  put_be<std::uint64_t>(list, at + 24, offset);
  put_be<std::uint64_t>(list, at + 32, length);
}

/// A DMG disk whose blocks are listed in its resources: the first half with zlib, then zeros for the disk's second
/// half, of which the last sector is stored.
inline Bytes dmg_disk(const Bytes& disk) {
  const std::size_t half = disk.size() / 2, last = disk.size() - 512;
  Bytes file = deflated(std::span(disk).first(half));
  const std::size_t packed = file.size();
  append(file, Bytes(disk.begin() + static_cast<std::ptrdiff_t>(last), disk.end()));
  const std::size_t resources = file.size();
  Bytes list(204 + 4 * 40);
  put_text(list, 0, "mish");
  put_be<std::uint64_t>(list, 16, disk.size() / 512);
  put_run(list, 204, 0x80000005, 0, half / 512, 0, packed);
  put_run(list, 244, 0, half / 512, (last - half) / 512, 0, 0);
  put_run(list, 284, 1, last / 512, 1, packed, 512);
  put_run(list, 324, 0xffffffff, disk.size() / 512, 0, 0, 0);
  Bytes fork(16 + 4);
  put_be<std::uint32_t>(fork, 0, 16);
  put_be<std::uint32_t>(fork, 8, static_cast<std::uint32_t>(4 + list.size()));
  put_be<std::uint32_t>(fork, 16, static_cast<std::uint32_t>(list.size()));
  append(fork, list);
  append(file, fork);
  Bytes trailer(512);
  put_text(trailer, 0, "koly");
  put_be<std::uint32_t>(trailer, 4, 4);
  put_be<std::uint32_t>(trailer, 8, 512);
  put_be<std::uint64_t>(trailer, 32, resources);
  put_be<std::uint64_t>(trailer, 40, resources);
  put_be<std::uint64_t>(trailer, 48, fork.size());
  put_be<std::uint32_t>(trailer, 60, 1);
  put_be<std::uint64_t>(trailer, 492, disk.size() / 512);
  append(file, trailer);
  return file;
}

}  // namespace kiln::test
