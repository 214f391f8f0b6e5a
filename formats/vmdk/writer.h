#pragma once
// Makes VMDK files that VMware's products, VirtualBox and QEMU read. Source: VMware, "Virtual Disk Format 5.0" (2011).
//
// The same disk and options give the same bytes, on any number of threads: identifiers are derived from the content,
// and the name in the descriptor is always the same one. The header is written last, so a file without finish() is
// none. Memory: one grain table, and 4 bytes per 32 MiB of the disk. A disk is a file of its own, or a run of a file
// that somebody else makes: a member of an OVA.

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <kiln/block.h>
#include <kiln/file.h>
#include <kiln/hash.h>

#include "header.h"

struct libdeflate_compressor;

namespace kiln::vmdk {

/// What both kinds have in common. A grain is a chunk.
class Writer : public BlockSink {
 public:
  /// What the disk has, in bytes: whole sectors.
  std::uint64_t capacity() const noexcept { return header_.capacity * sector; }
  /// What the VMDK takes, in bytes, once finish() returned.
  std::uint64_t bytes() const noexcept { return next_ * sector; }

 protected:
  /// The header without places. A size that is not a multiple of 512 bytes is rounded up to one. Throws invalid().
  static Header header_for(std::uint64_t size, bool stream);
  Writer(const std::filesystem::path& file, const Header&, std::string adapter);
  /// Into `file`, which is lent, from byte `begin` on.
  Writer(File& file, std::uint64_t begin, const Header&, std::string adapter);

  /// Counts the batch's content into the disk's identifiers.
  void identify(const Batch&);
  /// Enters a grain that starts at next_. Call it in disk order.
  void map(std::uint64_t grain);
  /// Takes `sectors` of the file.
  void advance(std::uint64_t sectors);
  /// Writes the table that map() has filled, if there is one.
  void flush_table();
  /// Where the tables of the disk go. Returns what the directory is to say.
  virtual std::uint32_t place_table(std::uint64_t number, std::span<const std::byte> table) = 0;
  /// The descriptor, then the header: the file is whole.
  void finish_with(const Header&);
  std::vector<std::byte> directory_bytes() const;
  /// `at`: of the VMDK, in bytes.
  void write_at(std::uint64_t at, std::span<const std::byte>);
  void start_writeback(std::uint64_t at, std::uint64_t length) noexcept;
  /// Gives the VMDK its length, however many holes it ends in.
  void end_at(std::uint64_t at);

  Header header_;
  std::uint64_t next_ = 0;                ///< first free sector
  std::vector<std::uint32_t> directory_;  ///< first sector of each table

 private:
  std::optional<NewFile> made_;  ///< none: file_ is lent
  File& file_;
  const std::uint64_t begin_ = 0;
  std::string adapter_;
  Hasher identity_;
  std::vector<std::byte> table_;
  std::uint64_t number_ = UINT64_MAX;  ///< of the table that table_ is
};

/// "monolithicSparse": header, descriptor, both directories each with all of its tables, grains as they come.
class SparseWriter final : public Writer {
 public:
  SparseWriter(const std::filesystem::path& file, std::uint64_t size, std::string adapter);

  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const override;
  void append(Encoded&) override;
  void store(Encoded&) override;
  void finish() override;

 private:
  struct Plan;
  std::uint32_t place_table(std::uint64_t number, std::span<const std::byte> table) override;

  std::uint64_t first_table_ = 0, first_redundant_ = 0;
};

/// Of libdeflate, for streamOptimized: never larger than what zlib makes at its usual level, in 40 % of the time.
inline constexpr int usual_level = 5, highest_level = 12;

/// "streamOptimized": header, descriptor, compressed grains in disk order, each table behind its grains, directory,
/// footer.
class StreamWriter final : public Writer {
 public:
  StreamWriter(const std::filesystem::path& file, std::uint64_t size, std::string adapter, int level);
  /// Into a file that is lent: what lies there from byte `begin` on, of bytes() in the end, is this one's.
  StreamWriter(File& file, std::uint64_t begin, std::uint64_t size, std::string adapter, int level);
  ~StreamWriter() override;

  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const override;
  void append(Encoded&) override;
  void store(Encoded&) override;
  void finish() override;

 private:
  struct Packed;
  struct Release {
    void operator()(libdeflate_compressor*) const;
  };
  using Compressor = std::unique_ptr<libdeflate_compressor, Release>;

  std::uint32_t place_table(std::uint64_t number, std::span<const std::byte> table) override;
  void start();
  void write_next(std::span<const std::byte>);
  Compressor take_compressor() const;

  int level_;
  mutable std::mutex mutex_;
  mutable std::vector<Compressor> free_;
};

}  // namespace kiln::vmdk
