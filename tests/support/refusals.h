#pragma once
// Tampering with little-endian fields of a container, and what a format says of it.

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>

#include <kiln/endian.h>
#include <kiln/file.h>
#include <kiln/format.h>

namespace kiln::test {

template <class T>
void put(const std::filesystem::path& file, std::uint64_t at, T value) {
  std::array<std::byte, sizeof(T)> bytes{};
  put_le<T>(bytes, 0, value);
  File::open_write(file).write_at(at, bytes);
}

template <class T>
T get(const std::filesystem::path& file, std::uint64_t at) {
  std::array<std::byte, sizeof(T)> bytes{};
  File::open_read(file).read_at(at, bytes);
  return get_le<T>(bytes, 0);
}

/// `code: what; hint; evidence…` of the Error that opening throws, the folder's name left out; "opened" when it does
/// not. inspect() has to say the same.
inline std::string why_not(const Format& format, const std::filesystem::path& file) {
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
  const std::string opening = told([&] { format.open(file); });
  EXPECT_EQ(told([&] { format.inspect(file); }), opening);
  return opening;
}

}  // namespace kiln::test
