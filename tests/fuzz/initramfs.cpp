#include "initramfs.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <kiln/error.h>

#include "plugins/preflight/cpio.h"
#include "plugins/preflight/initramfs.h"

namespace kiln::fuzz {
namespace {

using preflight::Names;

constexpr std::size_t most_to_pack = 4096;  // bytes; to compress more would be most of the time

struct Filter {
  const char* name;
  int (*add)(archive*);
};
constexpr std::array<Filter, 6> filters{{{"gzip", archive_write_add_filter_gzip},
                                         {"bzip2", archive_write_add_filter_bzip2},
                                         {"lzma", archive_write_add_filter_lzma},
                                         {"xz", archive_write_add_filter_xz},
                                         {"lz4", archive_write_add_filter_lz4},
                                         {"zstd", archive_write_add_filter_zstd}}};

struct Freed {
  void operator()(archive* a) const { archive_write_free(a); }
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

std::string packed(std::string_view bytes, const Filter& filter) {
  std::string out(bytes.size() + 65536, '\0');
  std::size_t used = 0;
  const std::unique_ptr<archive, Freed> a(archive_write_new());
  const std::unique_ptr<archive_entry, Freed> entry(archive_entry_new());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_write_set_bytes_in_last_block(a.get(), 1);
  const bool good = filter.add(a.get()) == ARCHIVE_OK && archive_write_set_format_raw(a.get()) == ARCHIVE_OK &&
                    archive_write_open_memory(a.get(), out.data(), out.size(), &used) == ARCHIVE_OK &&
                    archive_write_header(a.get(), entry.get()) == ARCHIVE_OK &&
                    archive_write_data(a.get(), bytes.data(), bytes.size()) == static_cast<la_ssize_t>(bytes.size()) &&
                    archive_write_close(a.get()) == ARCHIVE_OK;
  if (!good) throw std::runtime_error(std::string("libarchive cannot write ") + filter.name);
  out.resize(used);
  return out;
}

/// Nothing: it was refused.
std::optional<Names> read(std::string_view bytes) {
  static const Names among{"virtio", "virtio_ring", "virtio_pci", "virtio_blk"};
  try {
    Names found = preflight::modules_in(bytes, among, {});
    if (!std::ranges::includes(among, found)) throw std::logic_error("a module that nobody asked for");
    return found;
  } catch (const Error& error) {
    if (std::string(error.what()).empty()) throw std::logic_error("an Error without words");
    return std::nullopt;
  }
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::string exercise_initramfs(std::span<const std::byte> bytes) try {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::optional<Names> found = read(text);
  if (!found || text.empty() || text.size() > most_to_pack) return {};
  const std::optional<Names> again = read(packed(text, filters[0]));
  return again && *again != *found ? "other modules when it is compressed" : "";
} catch (const std::exception& error) {
  return error.what();
}

std::vector<Seed> initramfs_seeds() {
  const std::vector<std::string> paths{"lib/modules/6.1/kernel/drivers/block/virtio_blk.ko",
                                       "usr/lib/modules/6.1/kernel/drivers/virtio/virtio-pci.ko.zst", "etc/fstab"};
  const std::string early = test::cpio_of({"kernel/x86/microcode/AuthenticAMD.bin"}, "microcode") + std::string(64, 0);
  const std::string main = test::cpio_of(paths, "content");
  std::string with_sums = main;
  with_sums[5] = '2';  // "070702", of which nobody compares the sums
  std::vector<Seed> all{{"plain", bytes_of(main)}, {"sums", bytes_of(with_sums)}, {"two", bytes_of(early + main)}};
  for (const Filter& filter : filters) {
    all.push_back({filter.name, bytes_of(packed(main, filter))});
    all.push_back({std::string("early-") + filter.name, bytes_of(early + packed(main, filter))});
  }
  return all;
}

}  // namespace kiln::fuzz
