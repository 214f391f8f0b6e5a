#pragma once
// VDI files for the tests, and how to tamper with them.

#include <filesystem>
#include <string>
#include <vector>

#include <kiln/endian.h>
#include <kiln/file.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

inline const Format& vdi() {
  static const Format& format = load_format("vdi");
  return format;
}

template <class T>
void put(const std::filesystem::path& file, std::uint64_t at, T value) {
  std::array<std::byte, sizeof(T)> bytes{};
  put_le<T>(bytes, 0, value);
  File::open_write(file).write_at(at, bytes);
}

inline std::uint32_t get(const std::filesystem::path& file, std::uint64_t at) {
  std::array<std::byte, 4> bytes{};
  File::open_read(file).read_at(at, bytes);
  return get_le<std::uint32_t>(bytes, 0);
}

/// Sets entries of the block map from the first on.
inline void set_map(const std::filesystem::path& file, const std::vector<std::uint32_t>& entries) {
  const std::uint64_t map_at = get(file, 340);
  for (std::size_t i = 0; i < entries.size(); ++i) put<std::uint32_t>(file, map_at + i * 4, entries[i]);
}

/// What qemu-img reads, as a raw file beside it.
inline std::filesystem::path as_qemu_reads(const std::filesystem::path& file) {
  const std::filesystem::path out = file.string() + ".qemu";
  std::filesystem::remove(out);
  qemu_to_raw(file, "vdi", out);
  return out;
}

/// `code: what; hint; evidence…` of the Error that opening throws, the folder's name left out; "opened" when it does
/// not. inspect() has to say the same.
inline std::string why_not(const std::filesystem::path& file) {
  const auto told = [&](const auto& act) {
    try {
      act();
      return std::string("opened");
    } catch (const Error& e) {
      std::string text = e.code() + ": " + e.what() + "; " + e.hint();
      for (const std::string& line : e.evidence()) text += "; " + line;
      const std::string folder = file.parent_path().string() + "/";
      for (std::size_t at = 0; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
      return text;
    }
  };
  const std::string opening = told([&] { vdi().open(file); });
  EXPECT_EQ(told([&] { vdi().inspect(file); }), opening);
  return opening;
}

}  // namespace kiln::test
