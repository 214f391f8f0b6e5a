#pragma once
// The disk of a VMDK: one sparse file, or what a descriptor puts together.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include <kiln/block.h>

#include "descriptor.h"
#include "sparse.h"

namespace kiln::vmdk {

class Reader final : public BlockReader {
 public:
  /// Validates the descriptor, every file that it names, and all of their tables. Throws refused() for what points
  /// outside, needs a parent, or is a part of a disk only; Error for what is damaged or truncated.
  explicit Reader(File);

  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override;
  void read(std::uint64_t offset, std::span<std::byte> into) const override;

  const Descriptor& descriptor() const { return descriptor_; }
  /// A run of the disk: of a sparse extent, of a flat file, or zeros.
  struct Piece {
    std::uint64_t begin = 0, length = 0;  ///< bytes of the disk
    std::unique_ptr<Sparse> sparse = nullptr;
    std::unique_ptr<File> flat = nullptr;
    std::uint64_t flat_offset = 0;
  };
  const std::vector<Piece>& pieces() const { return pieces_; }
  /// The files besides the one given.
  const std::vector<std::filesystem::path>& beside() const { return beside_; }

 private:
  void open_sparse(File);
  void open_described(File);
  void add(const File& descriptor, const ExtentLine&, bool last, Piece);
  void check_sizes(const Header&, const File&, const ExtentLine&, bool last) const;
  std::size_t piece_at(std::uint64_t offset) const;

  Descriptor descriptor_;
  std::vector<Piece> pieces_;  // none is empty
  std::vector<std::filesystem::path> beside_;
  std::uint64_t size_ = 0;
};

}  // namespace kiln::vmdk
