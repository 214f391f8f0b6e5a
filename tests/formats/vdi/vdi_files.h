#pragma once
// VDI files for the tests, and how to tamper with them.

#include <filesystem>
#include <string>
#include <vector>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/refusals.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

inline const Format& vdi() {
  static const Format& format = load_format("vdi");
  return format;
}

/// Sets entries of the block map from the first on.
inline void set_map(const std::filesystem::path& file, const std::vector<std::uint32_t>& entries) {
  const std::uint64_t map_at = get<std::uint32_t>(file, 340);
  for (std::size_t i = 0; i < entries.size(); ++i) put<std::uint32_t>(file, map_at + i * 4, entries[i]);
}

/// What qemu-img reads, as a raw file beside it.
inline std::filesystem::path as_qemu_reads(const std::filesystem::path& file) {
  const std::filesystem::path out = file.string() + ".qemu";
  std::filesystem::remove(out);
  qemu_to_raw(file, "vdi", out);
  return out;
}

inline std::string why_not(const std::filesystem::path& file) {
  return why_not(vdi(), file);
}

}  // namespace kiln::test
