#pragma once
// VMDK files for the tests: made by qemu-img or by the test itself, to be changed byte by byte.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <kiln/endian.h>
#include <kiln/file.h>

#include "disk/pump.h"
#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

inline const Format& vmdk() {
  static const Format& format = load_format("vmdk");
  return format;
}

inline constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB, TiB = 1024 * GiB;

inline Table vmdk_options(const std::string& subformat, std::int64_t level = 0) {
  return {{"subformat", Value{subformat}}, {"level", Value{level}}};
}

inline void write_vmdk(const std::filesystem::path& raw, const std::filesystem::path& out, const Table& options,
                       unsigned workers = 2) {
  const RawDisk disk(raw);
  const auto sink = vmdk().create_with(out, disk.size(), options);
  BlockSink* const sinks[] = {sink.get()};
  pump(disk, sinks, {.workers = workers});
  sink->finish();
}

/// What qemu-img reads, as a raw file beside it.
inline std::filesystem::path as_qemu_reads(const std::filesystem::path& file) {
  const std::filesystem::path out = file.string() + ".qemu";
  std::filesystem::remove(out);
  qemu_to_raw(file, "vmdk", out);
  return out;
}

template <class T>
void put_le_at(const std::filesystem::path& file, std::uint64_t at, T value) {
  std::array<std::byte, sizeof(T)> bytes{};
  put_le(std::span<std::byte>(bytes), 0, value);
  File::open_write(file).write_at(at, bytes);
}

template <class T>
T get_le_at(const std::filesystem::path& file, std::uint64_t at) {
  std::array<std::byte, sizeof(T)> bytes{};
  File::open_read(file).read_at(at, bytes);
  return get_le<T>(bytes, 0);
}

inline void put_text(const std::filesystem::path& file, std::uint64_t at, std::string_view text) {
  File::open_write(file).write_at(at, std::as_bytes(std::span(text)));
}

/// `Code: what; evidence…` of the Error that reading all of the disk throws, the folder's name left out; "read" when
/// there is none. inspect() must say the same as open() where that is what throws.
inline std::string why_not(const std::filesystem::path& file) {
  const std::string folder = file.parent_path().string() + "/";
  const auto said = [&](const std::function<void()>& act) -> std::string {
    try {
      act();
      return "read";
    } catch (const Error& e) {
      EXPECT_FALSE(e.hint().empty()) << e.what();
      std::string text = e.code() + ": " + e.what();
      for (const std::string& line : e.evidence()) text += "; " + line;
      for (std::size_t at = 0; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
      return text;
    }
  };
  const std::string inspected = said([&] { vmdk().inspect(file); });
  const std::string opened = said([&] { vmdk().open(file); });
  EXPECT_EQ(inspected, opened);
  if (opened != "read") return opened;
  return said([&] {
    const auto disk = vmdk().open(file);
    std::vector<std::byte> bytes(MiB);
    for (std::uint64_t at = 0; at < disk->size(); at += bytes.size())
      disk->read(at, std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), disk->size() - at)));
  });
}

/// The first word of it.
inline std::string code_of(const std::filesystem::path& file) {
  const std::string why = why_not(file);
  return why.substr(0, why.find(':'));
}

}  // namespace kiln::test
