#pragma once
// Disks to test with: their shapes, their bytes as raw files, and how to compare and copy them.

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <kiln/block.h>
#include <kiln/file.h>

namespace kiln::test {

/// A run of bytes of a sample disk.
struct Piece {
  enum class Kind {
    random,  ///< does not compress
    text,    ///< compresses about 3:1
    zeros,   ///< written, so no hole in the raw file
  };
  std::uint64_t offset = 0, length = 0;
  Kind kind = Kind::random;
};

/// The shape of a disk. What no piece covers is a hole.
struct DiskShape {
  std::string name;
  std::uint64_t size = 0;
  std::vector<Piece> pieces;
};

/// Empty, full, sparse, written zeros, data in the last partial sector, cluster, chunk and block. Each is at most
/// 9 MiB of data; sizes are multiples of 512 unless `odd_sizes`.
std::vector<DiskShape> sample_disks(bool odd_sizes = false);

/// Makes the raw file of a shape. The same seed gives the same bytes.
void write_raw(const std::filesystem::path& file, const DiskShape&, std::uint64_t seed = 1);

/// Fills with seeded bytes of a kind.
void fill(std::span<std::byte> into, Piece::Kind kind, std::uint64_t seed);

/// Whether the reader has exactly the file's size and bytes, and its extents tile the disk and call no data a hole.
testing::AssertionResult same_as_raw(const BlockReader&, const std::filesystem::path& raw);

/// Whether two files have the same bytes.
testing::AssertionResult same_files(const std::filesystem::path& a, const std::filesystem::path& b);

/// A raw file as a disk, without any plugin. Holes are the file's.
class RawDisk final : public BlockReader {
 public:
  explicit RawDisk(const std::filesystem::path& file) : file_(File::open_read(file)), size_(file_.size()) {}
  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override;
  void read(std::uint64_t offset, std::span<std::byte> into) const override { file_.read_at(offset, into); }

 private:
  File file_;
  std::uint64_t size_;
};

/// A pass on one thread that obeys the contract to the letter, for testing a sink without the pump. Calls finish()
/// unless told not to. Chunk digests are real.
void copy_disk(const BlockReader&, BlockSink&, bool finish = true);

/// Changes one byte of a file / cuts it.
void flip_byte(const std::filesystem::path& file, std::uint64_t offset, std::uint8_t mask = 0xff);
void cut_file(const std::filesystem::path& file, std::uint64_t size);

}  // namespace kiln::test
