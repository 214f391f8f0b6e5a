#pragma once
// How large the guest sees a disk of the tests.

#include <array>
#include <filesystem>
#include <span>

#include <kiln/endian.h>
#include <kiln/file.h>

namespace kiln::test {

/// Of a qcow2 (docs/interop/qcow2.txt of QEMU, "Header": bytes 24 to 31); of anything else, and of none, its length.
inline std::uint64_t disk_size(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return 1u << 20;
  const std::uint64_t length = std::filesystem::file_size(file);
  if (file.extension() != ".qcow2") return length;
  std::array<std::byte, 8> bytes{};
  if (File::open_read(file).read_some(24, bytes) != bytes.size()) return length;
  return get_be<std::uint64_t>(bytes, 0);
}

}  // namespace kiln::test
