#pragma once
// Compressed files as streams. What is packed is a stranger's: no memory is asked for by a number in it, checksums are
// compared, and what follows the end is refused.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <kiln/file.h>

namespace kiln::import {

enum class Packing { none, gzip, xz, zstd, bzip2, zip };

/// By the first bytes: RFC 1952 2.3.1, xz-file-format 1.1 2.1.1.1, RFC 8878 3.1.1, bzip2 1.0.8, APPNOTE 4.3.7.
Packing packing_of(const File&);
std::string_view name_of(Packing);

/// One thread.
class Decoder {
 public:
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder();

  /// Fills all of `into`, or as much as there is before the end: then everything was compared, and the file ends, too.
  /// Throws Error with code::truncated, code::checksum, code::damaged, code::archive (something follows) or
  /// code::unsupported (it wants more memory than anybody should need).
  virtual std::size_t read(std::span<std::byte> into) = 0;
  /// Bytes of the file that were used so far.
  virtual std::uint64_t consumed() const = 0;
  /// What the only member of a zip is called; empty for the others.
  virtual std::string name() const { return {}; }
};

/// `file` must outlive it. Throws as read() does.
std::unique_ptr<Decoder> decoder_for(const File& file, Packing);
/// Of the one file in a zip; links, folders, encryption and a second member are refused.
std::unique_ptr<Decoder> decode_zip(const File& file);

}  // namespace kiln::import
