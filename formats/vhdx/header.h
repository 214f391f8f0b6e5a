#pragma once
// 2.2.1 "File Type Identifier" and 2.2.2 "Headers".

#include <cstdint>
#include <span>
#include <string>

#include <kiln/file.h>
#include <kiln/finding.h>

#include "structures.h"

namespace kiln::vhdx {

/// The header that counts, validated. The log lies within the file.
struct Header {
  std::string creator;  ///< which program made the file; ASCII, other characters are '?'
  std::uint64_t sequence = 0;
  Guid log_id{};  ///< of the entries that are to be replayed; zero: there are none
  std::uint64_t log_at = 0, log_length = 0;
  bool other_damaged = false;  ///< the other copy is torn

  bool has_log() const noexcept { return log_id != Guid{}; }
};

/// Whether the bytes of a file's start are a VHDX's.
bool has_mark(std::span<const std::byte> head);

/// Throws Error when neither header is whole, or the file is of a version that is not known.
Header read_header(const File&);

}  // namespace kiln::vhdx
