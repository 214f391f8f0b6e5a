#pragma once
// VHD files for the tests, and how to tamper with them so that their checksums fit again.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <kiln/endian.h>
#include <kiln/file.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

inline const Format& vhd() {
  static const Format& format = load_format("vhd");
  return format;
}

using Bytes512 = std::vector<std::byte>;

inline void fix_checksum(std::span<std::byte> bytes, std::size_t field) {
  put_be<std::uint32_t>(bytes, field, 0);
  std::uint32_t sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<std::uint32_t>(b);
  put_be<std::uint32_t>(bytes, field, ~sum);
}

/// Changes a structure of `size` bytes at `offset` and makes its checksum fit.
inline void edit(const std::filesystem::path& path, std::uint64_t offset, std::size_t size, std::size_t checksum_field,
                 const std::function<void(std::span<std::byte>)>& change) {
  File file = File::open_write(path);
  std::vector<std::byte> bytes(size);
  file.read_at(offset, bytes);
  change(bytes);
  fix_checksum(bytes, checksum_field);
  file.write_at(offset, bytes);
}

/// Changes the footer, and its copy when the disk is dynamic.
inline void edit_footer(const std::filesystem::path& path, const std::function<void(std::span<std::byte>)>& change) {
  const std::uint64_t size = std::filesystem::file_size(path);
  edit(path, size - 512, 512, 64, change);
  std::vector<std::byte> head(8);
  File::open_read(path).read_at(0, head);
  if (std::memcmp(head.data(), "conectix", 8) == 0) edit(path, 0, 512, 64, change);
}

inline void set_creator(const std::filesystem::path& path, const std::string& four) {
  edit_footer(path, [&](std::span<std::byte> f) { std::memcpy(f.data() + 28, four.data(), 4); });
}

inline void set_geometry(const std::filesystem::path& path, unsigned cylinders, unsigned heads, unsigned sectors) {
  edit_footer(path, [&](std::span<std::byte> f) {
    put_be<std::uint16_t>(f, 56, static_cast<std::uint16_t>(cylinders));
    put_be<std::uint8_t>(f, 58, static_cast<std::uint8_t>(heads));
    put_be<std::uint8_t>(f, 59, static_cast<std::uint8_t>(sectors));
  });
}

/// What qemu-img reads, as a raw file beside it.
inline std::filesystem::path as_qemu_reads(const std::filesystem::path& file) {
  const std::filesystem::path out = file.string() + ".qemu";
  std::filesystem::remove(out);
  qemu_to_raw(file, "vpc", out);
  return out;
}

/// `what; hint; evidence…` of the Error that opening throws, the folder's name left out; "opened" when it does not.
inline std::string why_not(const std::filesystem::path& file) {
  try {
    vhd().open(file);
    return "opened";
  } catch (const Error& e) {
    std::string text = std::string(e.what()) + "; " + e.hint();
    for (const std::string& line : e.evidence()) text += "; " + line;
    const std::string folder = file.parent_path().string() + "/";
    for (std::size_t at = 0; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
    return text;
  }
}

}  // namespace kiln::test
