#pragma once
// What tests of the import stage import, and how.

#include <filesystem>
#include <set>
#include <string>

#include <kiln/file.h>
#include <kiln/testing.h>

#include "plugins/import/package/packages.h"
#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

inline std::string bytes_of(const std::filesystem::path& file) {
  return read_text(file, 1u << 30);
}

/// A disk of 3 MiB with a partition table in several formats, the same content in each.
struct SampleDisk {
  explicit SampleDisk(std::uint64_t seed) {
    write_raw(raw, {"sample", size, {{0, 512}, {65536, 200'000}, {size - 1024, 1024, Piece::Kind::text}}}, seed);
    // One partition, so that it is a disk to whoever looks.
    const std::string table =
        std::string("\x80\0\0\0\x83\0\0\0\x01\0\0\0\x08\0\0\0", 16) + std::string(48, '\0') + "\x55\xaa";
    File::open_write(raw).write_at(446, std::as_bytes(std::span(table)));
    qemu_from_raw(raw, dir / "qcow2", "qcow2");
    qemu_from_raw(raw, dir / "vhd", "vpc", "force_size=on");
    qcow2 = bytes_of(dir / "qcow2");
    vhd = bytes_of(dir / "vhd");
  }
  static constexpr std::uint64_t size = 3 << 20;
  TempDir dir;
  const std::filesystem::path raw = dir / "raw";
  std::string qcow2, vhd;
};

inline const SampleDisk& sample(std::size_t number) {
  static const SampleDisk one(1), two(2), three(3);
  return number == 1 ? one : number == 2 ? two : three;
}

/// An import with the formats that are built.
struct ImportRun {
  ImportRun() {
    for (const char* name : {"raw", "qcow2", "vhd"}) ctx.fake_formats.formats[name] = &load_format(name);
  }
  void run(const std::filesystem::path& file, Table more = {}) {
    more["file"] = Value{file};
    load_stage("import").run_with(ctx, more);
  }
  /// What it says; it must not have taken it.
  Error refusal(const std::filesystem::path& file, Table more = {}) {
    try {
      run(file, std::move(more));
    } catch (const Error& error) {
      EXPECT_FALSE(error.hint().empty()) << error.what();
      return error;
    }
    ADD_FAILURE() << "took it";
    return Error("");
  }
  fakes::FakeContext ctx;
};

/// Digest of the last chunk that is not zero, which is what the fake catalog keeps of a part.
inline Digest part_content(const std::filesystem::path& raw) {
  std::set<Digest> known;
  fakes::FakePart part(known, 0);
  fakes::offer(RawDisk(raw), {}, {&part});
  return part.content();
}

}  // namespace kiln::test
