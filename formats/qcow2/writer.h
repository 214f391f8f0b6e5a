#pragma once
// Writes a version 3 file: what the pass brings, in its order, is what the file holds, in that order.
//
// Layout: header, then clusters and L2 tables as the disk goes by, refcount blocks in between, at the end the L1 table,
// the refcount table and what is left of the blocks. Everything but the header is written before finish() ends; the
// header comes last, so a file without finish() is none.

#include <filesystem>
#include <optional>
#include <vector>

#include <kiln/block.h>

#include "header.h"
#include "space.h"

namespace kiln::qcow2 {

/// How to write. Checked by check().
struct Layout {
  unsigned cluster_bits = 16;
  std::optional<Compression> compression;
  int level = 0;  ///< of the compression; 0 is the library's default
};

/// The same disk and layout give the same bytes, whatever the number of threads. Only clusters with content take
/// space; within them, chunks of zeros are holes of the file. Memory: one L2 table, 8 bytes per L2 table written, and
/// with clusters of 2 MiB, which two batches share, one cluster.
class Writer final : public BlockSink {
 public:
  /// A disk that is not a multiple of 512 bytes long becomes one: QEMU counts in sectors and would cut it off. Throws
  /// invalid() when clusters of that size cannot describe the disk.
  Writer(const std::filesystem::path& file, std::uint64_t size, const Layout&);
  ~Writer() override;

  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const override;
  void append(Encoded&) override;
  void store(Encoded&) override;
  void finish() override;

 private:
  struct Plan;
  struct Codec;

  void encode_clusters(Plan&) const;
  void append_clusters(Plan&);
  void append_half(Plan&);
  void keep_half(const Batch&);
  void write_kept();
  void map(std::uint64_t cluster, std::uint64_t entry);
  std::uint64_t packed_entry(std::uint64_t host, std::uint64_t length) const;
  void flush_l2();
  std::vector<std::byte> header_bytes(std::uint64_t l1_offset, const Space::RefcountTable&) const;

  Header header_;
  File file_;
  Layout layout_;
  Space space_;
  mutable Pool<Codec> codecs_;
  std::vector<std::uint64_t> l1_;
  std::uint64_t l2_index_ = UINT64_MAX;  // of the table that l2_ is
  std::vector<std::byte> l2_;
  std::uint64_t open_ = UINT64_MAX, open_host_ = 0;  // a cluster larger than a batch, still to be completed
  std::vector<std::byte> kept_;                      // its content, when it is to be compressed
  bool finished_ = false;
};

}  // namespace kiln::qcow2
