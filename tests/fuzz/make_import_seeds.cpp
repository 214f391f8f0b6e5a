// make_import_seeds FOLDER: writes the corpus that fuzz_import starts from.

#include <cstdio>
#include <exception>

#include <kiln/file.h>

#include "plugins/import/package/packages.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {
namespace {

void write(const std::filesystem::path& file, const std::string& bytes) {
  std::filesystem::remove(file);
  File::create(file).write_at(0, std::as_bytes(std::span(bytes)));
}

/// A disk of eight pieces, so that its map goes on behind the header.
void write_with_holes(const std::filesystem::path& folder) {
  const TempDir dir;
  File disk = File::create(dir / "disk.raw");
  disk.truncate(1 << 20);
  const std::string piece(512, 'd');
  for (std::uint64_t i = 0; i < 8; ++i) disk.write_at(i << 17, std::as_bytes(std::span(piece)));
  for (const char* format : {"oldgnu", "pax"}) {
    const std::filesystem::path file = folder / ("holes-" + std::string(format));
    if (run({"tar", "-C", dir.path(), std::string("--format=") + format, "-S", "-c", "-f", file, "disk.raw"}).status !=
        0)
      throw std::runtime_error("tar");
  }
}

void make_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const std::string disk(8192, 'd'), byte = "http://en.wikipedia.org/wiki/Byte";
  const std::string ovf = ovf_of({{"a.img", "a", "8192", byte}, {"b.img", "b", "8192", byte, "5", "1"}});
  std::string manifest;
  for (const auto& [name, content] : {std::pair("web.ovf", ovf), {"a.img", disk}, {"b.img", disk}})
    manifest += "SHA1(" + std::string(name) + ")= " + digest_text(content, Algorithm::sha1) + "\n";
  const std::vector<TarMember> members{{"web.ovf", ovf}, {"web.mf", manifest}, {"a.img", disk}, {"b.img", disk}};
  write(folder / "ustar", tar_of(members));
  write(folder / "gnu", tar_of(members, archive_write_set_format_gnutar));
  write(folder / "pax", tar_of(members, archive_write_set_format_pax));
  write(folder / "ovf", ovf);
  write_with_holes(folder);
  write(folder / "zip", zip_of({{"disk.img", disk}}));
  for (const char* program : {"gzip", "xz", "zstd", "bzip2"}) {
    for (const char* name : {"ustar", "gnu"}) {
      const std::filesystem::path copy = folder / (std::string(name) + "-" + program);
      std::filesystem::copy_file(folder / name, copy, std::filesystem::copy_options::overwrite_existing);
      if (run({program, "-k", "-f", "-q", copy.string()}).status != 0) throw std::runtime_error(program);
      std::filesystem::remove(copy);
    }
  }
}

}  // namespace
}  // namespace kiln::test

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: make_import_seeds FOLDER\n", stderr), 2;
  try {
    kiln::test::make_seeds(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "make_import_seeds: %s\n", e.what());
    return 1;
  }
  return 0;
}
