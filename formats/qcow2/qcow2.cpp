// The format of QEMU. Source: QEMU, docs/interop/qcow2.

#include <bit>

#include <kiln/endian.h>
#include <kiln/plugin.h>

#include "reader.h"
#include "writer.h"

namespace kiln::qcow2 {
namespace {

struct Options {
  std::string compression = "none";
  Bytes cluster_size{64 * 1024};
  std::int64_t level = 0;
};

Layout layout_of(const Options& options) {
  const std::uint64_t size = options.cluster_size.count;
  if (!std::has_single_bit(size) || size < 1u << min_cluster_bits || size > 1u << max_cluster_bits)
    throw invalid("cluster_size " + std::to_string(size) + " is not a power of two from 512 to 2M",
                  "leave it out, or give for example \"64K\"");
  Layout layout{static_cast<unsigned>(std::countr_zero(size)), {}, static_cast<int>(options.level)};
  if (options.compression == "zlib") layout.compression = Compression::deflate;
  if (options.compression == "zstd") layout.compression = Compression::zstd;
  const int highest = layout.compression == Compression::zstd ? 19 : 12;
  if (options.level < 0 || options.level > highest || (options.level != 0 && !layout.compression))
    throw invalid(
        "level " + std::to_string(options.level) + " does not fit compression \"" + options.compression + "\"",
        "zlib takes 1 to 12, zstd 1 to 19, and 0 is the default of either");
  return layout;
}

class Qcow2 final : public FormatOf<Options> {
 public:
  Qcow2()
      : FormatOf(
            {.name = "qcow2",
             .summary = "The format of QEMU: grows with its content, may be compressed.",
             .revision = 2,
             .extensions = {"qcow2"}},
            {{"compression",
              &Options::compression,
              {"none", "zlib", "zstd"},
              "How clusters are compressed. Compressed ones are slower to read and cannot be overwritten in place."},
             {"cluster_size", &Options::cluster_size, "Unit of allocation: a power of two from 512 to \"2M\"."},
             {"level", &Options::level, "Compression level: zlib 1 to 12, zstd 1 to 19, 0 for a quick one."}}) {}

  Match probe(const Glimpse& glimpse) const override {
    return glimpse.head.size() >= 4 && get_be<std::uint32_t>(glimpse.head, 0) == magic ? Match::yes : Match::no;
  }

  Inspection inspect(const File& file) const override {
    const Image image = open_image(file.again(), false);
    return describe(image, check_tables(image, read_l1(image)));
  }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader> below) const override {
    return std::make_shared<Reader>(std::move(file), std::move(below));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& file, std::uint64_t size,
                                    const Options& options) const override {
    return std::make_unique<Writer>(file, size, layout_of(options));
  }

 private:
  static Inspection describe(const Image& image, const Usage& usage) {
    const Header& header = image.header;
    const std::string compression = header.compression == Compression::zstd ? "zstd" : "zlib";
    Inspection found{.format = "qcow2",
                     .variant = "v" + std::to_string(header.version),
                     .virtual_size = header.size,
                     .file_size = image.file_size,
                     .details = {}};
    if (usage.compressed_bytes != 0) found.variant += " " + compression;
    found.details = {{"cluster_size", std::to_string(header.cluster_size())},
                     {"compression_type", compression},
                     {"data", format_bytes(usage.data_bytes)},
                     {"compressed", format_bytes(usage.compressed_bytes) + " in " + format_bytes(usage.stored_bytes)},
                     {"extended_l2", header.extended_l2() ? "yes" : "no"},
                     {"refcount_bits", std::to_string(1u << header.refcount_order)},
                     {"snapshots", std::to_string(header.snapshots)},
                     {"dirty", (header.incompatible & incompatible_dirty) != 0 ? "yes" : "no"},
                     {"lazy_refcounts", (header.compatible & compatible_lazy_refcounts) != 0 ? "yes" : "no"}};
    return found;
  }
};

}  // namespace
}  // namespace kiln::qcow2

KILN_FORMAT(kiln::qcow2::Qcow2)
