#pragma once
// The content of one sparse extent, of either kind.

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "tables.h"

namespace kiln::vmdk {

/// Reads straight into the caller's buffer, grains that follow each other in the file at once. Const methods may be
/// called from any thread.
class Sparse {
 public:
  /// Validates the header, the footer and all tables. Compressed grains are looked at when they are read: their
  /// markers lie all over the file.
  explicit Sparse(File);
  ~Sparse();

  const File& file() const { return file_; }
  const Header& header() const { return header_; }
  std::uint64_t size() const { return header_.capacity * sector; }
  std::uint64_t grains() const { return tables_.grains(); }

  struct Run {
    bool data = false;
    std::uint64_t length = 0;
  };
  /// The run at `offset`, to the extent's end at most. Data is cut where asking anew is cheap.
  Run run_at(std::uint64_t offset) const;
  void read(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  class Cursor;
  struct Decoder;

  void check_last_grain() const;
  std::size_t read_plain(Cursor&, std::uint64_t offset, std::span<std::byte> into) const;
  std::size_t read_packed(Cursor&, std::uint64_t offset, std::span<std::byte> into) const;
  void decode(Decoder&, std::uint64_t grain, std::uint32_t start, std::span<const std::byte> stored,
              std::uint64_t within, std::span<std::byte> into) const;
  std::span<const std::byte> stream_of(Decoder&, std::uint64_t grain, std::uint32_t start,
                                       std::span<const std::byte> stored) const;
  void inflate(Decoder&, std::uint64_t grain, std::uint32_t start, std::span<const std::byte> stream,
               std::span<std::byte> into) const;
  std::unique_ptr<Decoder> take_decoder(std::uint64_t grain) const;
  void give_back(std::unique_ptr<Decoder>) const;
  Error bad_grain(std::uint64_t grain, std::uint32_t start, const std::string& what) const;
  std::uint64_t count() const { return (header_.capacity + header_.grain - 1) / header_.grain; }

  File file_;
  Header header_;
  Tables tables_;
  std::unique_ptr<Claims> claims_;  // where compressed grains start
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Decoder>> decoders_;
};

}  // namespace kiln::vmdk
